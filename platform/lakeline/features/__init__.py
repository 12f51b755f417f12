"""Features: values about an entity, joined to a decision as they were known when it was made."""

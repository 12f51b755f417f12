"""The script that writes rows in Redis, which runs it as one step: comparing times and writing cannot be torn apart."""

# ARGV: the origin whose rows give way whatever their time (0: none, -1: all), whether the view must be readable, then
# keys, rows and times of creation (empty: nobody says). A time is compared as two halves, because Lua's numbers hold 53
# bits.
PUT = r"""
local rows, expected, is_push = KEYS[1], tonumber(ARGV[1]), ARGV[2] == '1'
if is_push and redis.call('HEXISTS', rows, '\255') == 0 then return 0 end
local times = rows .. ':created'
local has_times = redis.call('EXISTS', times) == 1
local function is_before(one, other)
  local low, high = struct.unpack('<I4i4', one)
  local other_low, other_high = struct.unpack('<I4i4', other)
  return high < other_high or (high == other_high and low < other_low)
end
local function beats(key, row, created, old)
  if is_before(old, row) then return true end
  if is_before(row, old) then return false end
  local before = created ~= '' and has_times and redis.call('HGET', times, key)
  return not (before and is_before(created, before))
end
for i = 3, #ARGV, 3 do
  local key, row, created = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local old = redis.call('HGET', rows, key)
  local from = 0
  if old then from = select(3, struct.unpack('<I4i4I4', old)) end
  local gives_way = old and (expected < 0 or (expected > 0 and from == expected))
  if row == '' then
    if gives_way then
      redis.call('HDEL', rows, key)
      if has_times then redis.call('HDEL', times, key) end
      if from > 0 then redis.call('SREM', rows .. ':of:' .. string.format('%d', from), key) end
    end
  elseif not old or gives_way or beats(key, row, created, old) then
    local to = select(3, struct.unpack('<I4i4I4', row))
    redis.call('HSET', rows, key, row)
    if created ~= '' then
      redis.call('HSET', times, key, created)
      has_times = true
    elseif has_times then
      redis.call('HDEL', times, key)
    end
    if from ~= to and from > 0 then redis.call('SREM', rows .. ':of:' .. string.format('%d', from), key) end
    if from ~= to and to > 0 then redis.call('SADD', rows .. ':of:' .. string.format('%d', to), key) end
  end
end
return 1
"""

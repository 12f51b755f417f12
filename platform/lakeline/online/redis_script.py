"""The script that writes rows in Redis, which runs it as one step: comparing event times and writing cannot be torn apart."""

# ARGV: the origin whose rows give way whatever their time (0: none, -1: all), whether the view must be readable, then
# keys and rows. An event time is compared as two halves, because Lua's numbers hold 53 bits.
PUT = r"""
local rows, expected, is_push = KEYS[1], tonumber(ARGV[1]), ARGV[2] == '1'
if is_push and redis.call('HEXISTS', rows, '\255') == 0 then return 0 end
for i = 3, #ARGV, 2 do
  local key, row = ARGV[i], ARGV[i + 1]
  local old = redis.call('HGET', rows, key)
  local low, high, from = 0, 0, 0
  if old then low, high, from = struct.unpack('<I4i4I4', old) end
  local gives_way = old and (expected < 0 or (expected > 0 and from == expected))
  if row == '' then
    if gives_way then
      redis.call('HDEL', rows, key)
      if from > 0 then redis.call('SREM', rows .. ':of:' .. string.format('%d', from), key) end
    end
  else
    local new_low, new_high, to = struct.unpack('<I4i4I4', row)
    if not old or gives_way or new_high > high or (new_high == high and new_low >= low) then
      redis.call('HSET', rows, key, row)
      if from ~= to and from > 0 then redis.call('SREM', rows .. ':of:' .. string.format('%d', from), key) end
      if from ~= to and to > 0 then redis.call('SADD', rows .. ':of:' .. string.format('%d', to), key) end
    end
  end
end
return 1
"""

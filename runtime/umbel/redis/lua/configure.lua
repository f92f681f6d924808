-- Write the settings of a queue, unless a newer serial stands there.
--
-- KEYS  1 meta, 2 bell
-- ARGV  1 serial, 2 number of fields to delete, the fields, then field, value, ...
-- Returns 1 = written, 0 = a newer serial stands there
--
-- A resumed queue or a raised limit rings, since nobody else would.

local stored = tonumber(redis.call('HGET', KEYS[1], 'serial') or '-1')
if stored > tonumber(ARGV[1]) then
  return 0
end
local drop = tonumber(ARGV[2])
for i = 3, 2 + drop do
  redis.call('HDEL', KEYS[1], ARGV[i])
end
redis.call('HSET', KEYS[1], 'serial', ARGV[1], unpack(ARGV, 3 + drop))
if redis.call('HGET', KEYS[1], 'dispatch') ~= 'Held' then
  redis.call('ZADD', KEYS[2], 0, '1')
end
return 1

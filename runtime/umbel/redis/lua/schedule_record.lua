-- Write the end of a run to its schedule. Called before the acknowledgement, so it may be repeated: the first end counts.
--
-- KEYS  1 state, 2 runs, 3 ended, 4 succeeded, 5 failed
-- ARGV  1 run id, 2 final state, 3 ttl in ms for a schedule that has none
-- Returns 1 = written, 0 = it had ended before
--
-- REVOKED is neither a success nor a failure in a row: Replace revokes what it replaces.

if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ttl = redis.call('PTTL', KEYS[1])
if ttl < tonumber(ARGV[3]) then
  ttl = ARGV[3]
end
local noted = redis.call('HGET', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1001)

local limits = redis.call('HMGET', KEYS[1], 'keep_succeeded', 'keep_failed')
local entry = '{"run":"' .. ARGV[1] .. '","state":"' .. ARGV[2] .. '","ended":' .. string.format('%d', now)
if noted then
  entry = entry .. ',' .. noted
end
entry = entry .. '}'
local list, keep
if ARGV[2] == 'SUCCESS' or ARGV[2] == 'IGNORED' then
  redis.call('HSET', KEYS[1], 'failures', 0, 'succeeded', now)
  list, keep = KEYS[4], tonumber(limits[1] or '3')
else
  if ARGV[2] ~= 'REVOKED' then
    redis.call('HINCRBY', KEYS[1], 'failures', 1)
  end
  list, keep = KEYS[5], tonumber(limits[2] or '3')
end
if keep > 0 then
  redis.call('LPUSH', list, entry)
  redis.call('LTRIM', list, 0, keep - 1)
end
for i = 1, 5 do
  redis.call('PEXPIRE', KEYS[i], ttl)
end
return 1

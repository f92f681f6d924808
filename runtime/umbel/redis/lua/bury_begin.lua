-- First step of a burial: take the owner out of the living, if it did not beat since it was looked at.
--
-- KEYS  1 heartbeats, 2 dying, 3 registry entry
-- ARGV  1 owner, 2 its score as last seen ("" = whatever it is)
-- Returns 1 = the burial is begun (by this call or an earlier one), 0 = it is alive or unknown

if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then
  return 1
end
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score and redis.call('EXISTS', KEYS[3]) == 0 then
  return 0
end
if ARGV[2] ~= '' and score and tonumber(score) ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZREM', KEYS[1], ARGV[1]) -- first: see cycle.lua on a full Redis
redis.call('SADD', KEYS[2], ARGV[1])
return 1

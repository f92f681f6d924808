-- Write down how far a schedule was dealt with. Never backwards: a leader that was replaced cannot undo its successor's work.
--
-- KEYS  1 state, then the schedule's other keys, whose ttl is renewed
-- ARGV  1 cursor in ms, 2 ttl in ms, 3 missed slots to add, 4 skipped ones to add, then field, value, ... ("" deletes)
-- Returns 1 = written, 0 = a later cursor stands there

local stored = tonumber(redis.call('HGET', KEYS[1], 'cursor') or '-1e18')
if tonumber(ARGV[1]) < stored then
  return 0
end
redis.call('HSET', KEYS[1], 'cursor', ARGV[1])
if ARGV[3] ~= '0' then
  redis.call('HINCRBY', KEYS[1], 'missed', ARGV[3])
end
if ARGV[4] ~= '0' then
  redis.call('HINCRBY', KEYS[1], 'skipped', ARGV[4])
end
for i = 5, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
for i = 1, #KEYS do
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
return 1

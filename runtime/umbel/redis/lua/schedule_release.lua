-- Give up the lead of a source, so that a waiting beat takes it at once.
--
-- KEYS  1 lock
-- ARGV  1 token of this beat
-- Returns 1 = given up, 0 = it was not ours

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0

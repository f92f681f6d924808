-- Delete the keys of an own queue that has nothing left, but its dead letters: its janitors drop those that are too old.
--
-- KEYS  1 meta, 2 dead, 3 in-flight count, 4 what stands aside, 5 eta, 6 park, 7 fair order, 8..17 ready lists by priority 0..9,
--       18 clocks of the fair order, 19 bell, 20 hold, 21 dropped messages
-- ARGV  1 token of the janitor
-- Returns 1 = it has ended; 2 = it has, and there are dead letters; 0 = something is left, or was sent meanwhile; -1 = a worker
--         consumes it again, or another janitor ends it

local call = redis.call
if call('HLEN', KEYS[4]) <= 1 then
  call('DEL', KEYS[4])
end
if call('HGET', KEYS[1], 'ending') ~= ARGV[1] then
  return -1
end
if tonumber(call('GET', KEYS[3]) or '0') > 0 or call('EXISTS', unpack(KEYS, 4, 17)) > 0 then
  return 0
end
call('UNLINK', KEYS[1], KEYS[3], unpack(KEYS, 18, 21))
return 1 + call('EXISTS', KEYS[2])

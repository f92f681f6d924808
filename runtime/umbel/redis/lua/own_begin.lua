-- Begin to end an own queue. May be repeated, also by another janitor: the last one goes on.
--
-- KEYS  1 meta, 2 dead, 3 in-flight count, 4 what stands aside, 5 eta, 6 park, 7 fair order, 8..17 ready lists by priority 0..9
-- ARGV  1 layout version of the caller, 2 token of the janitor
-- Returns {"ok", ""}, {"gone", "1" = there are dead letters}: nothing is left to end; {"layout", version in Redis}
--
-- A worker that enters the queue takes the token away (enter.lua), and nothing more is taken out of the queue.

local call = redis.call
if call('EXISTS', KEYS[1], unpack(KEYS, 3)) == 0 then
  return {'gone', tostring(call('EXISTS', KEYS[2]))}
end
local layout = call('HGET', KEYS[1], 'layout')
if layout and tonumber(layout) > tonumber(ARGV[1]) then
  return {'layout', layout}
end
call('HSET', KEYS[1], 'layout', ARGV[1], 'ending', ARGV[2])
return {'ok', ''}

-- Enter an owner into one queue, so that its cycles pass the fence. Called after `register`, before the first cycle.
--
-- KEYS  1 owned, 2 meta
-- ARGV  1 layout version of the caller, 2 the tag to count on from: another one in each queue of an owner, far apart, so
--       that no two of its deliveries ever have the same tag
-- Returns {status, detail}: {"ok", ""} or {"layout", version in Redis}

local layout = redis.call('HGET', KEYS[2], 'layout')
redis.call('HDEL', KEYS[2], 'ending') -- an own queue has its worker back: its janitor takes nothing more. First: see cycle.lua
if not layout then
  redis.call('HSET', KEYS[2], 'layout', ARGV[1])
elseif tonumber(layout) > tonumber(ARGV[1]) then
  return {'layout', layout}
end
redis.call('HSETNX', KEYS[1], '@', ARGV[2])
return {'ok', ''}

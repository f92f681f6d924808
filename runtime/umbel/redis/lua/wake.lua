-- Wake messages that wait for a place though nobody has one: whoever was to take it went without waking the next one. That
-- is so after a message that was let out was dropped or taken by a worker that does not know its task.
--
-- KEYS  1 meta, 2 bell, 3 hold, 4 park, 5..14 ready lists by priority 0..9, 15 fair order, 16 its clocks
-- ARGV  1 how many keys to look at, from one chosen at random
-- Returns how many messages were woken
--
-- One too many does no harm: without a place it is parked again.

local META, READY, hold, park = KEYS[1], 5, KEYS[3], KEYS[4]
local somewhere = redis.call('ZRANDMEMBER', park)
if not somewhere then
  return 0
end
-- include enqueue
-- include places

local from, woken = '[' .. string.match(somewhere, '^[^%z]*'), 0
for _ = 1, tonumber(ARGV[1]) do
  local member = redis.call('ZRANGEBYLEX', park, from, '+', 'LIMIT', 0, 1)[1]
  if not member then
    break
  end
  local key = string.match(member, '^[^%z]*')
  if redis.call('HEXISTS', hold, 'k:' .. key) == 0 then
    enqueue_in_front(unpark(park, key))
    woken = woken + 1
  end
  from = '(' .. key .. '\1'
end
if woken > 0 and redis.call('HGET', META, 'dispatch') ~= 'Held' then
  redis.call('ZADD', KEYS[2], 0, '1')
end
return woken

-- Move due messages to their ready lists. For beat: with no worker alive nobody else would.
--
-- KEYS  1 eta, 2 bell, 3 meta, 4..13 ready lists by priority 0..9, 14 fair order, 15 its clocks
-- ARGV  1 how many at most
-- Returns {moved, ms until the next one is due or -1}

local META, READY = KEYS[3], 4
-- include enqueue

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
if #due > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #due - 1) -- first: see cycle.lua on a full Redis
  for i = 1, #due do
    enqueue(due[i])
  end
  if redis.call('HGET', KEYS[3], 'dispatch') ~= 'Held' then
    redis.call('ZADD', KEYS[2], 0, '1')
  end
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {#due, head[2] and math.max(0, tonumber(head[2]) - now) or -1}

-- Enqueue one run of a schedule, once, whoever asks and how often.
--
-- KEYS  1 meta, 2 bell, 3 eta, 4 run, 5..14 ready lists by priority 0..9, 15 fair order, 16 its clocks,
--       17 in-flight count, 18 dropped messages, 19 park
-- ARGV  1 layout version of the caller, 2 source, 3 epoch of its leader, 4 ttl of the run in ms, 5 task id, 6 payload,
--       7 delay in ms
-- Returns {"ok", now ms}, {"duplicate", task id}, {"stale", highest epoch seen}, {"closed", ""},
--         {"full", {waiting, bound}}, {"layout", version in Redis}
--
-- The fence comes first: a leader that was replaced while it slept must not add a slot that its successor has skipped. Fence,
-- mark and push are one step in the queue's slot, so that no death in between loses or repeats a run.

local META, ETA, READY = KEYS[1], KEYS[3], 5
-- include enqueue
-- include make_room

local settings = redis.call('HMGET', KEYS[1], 'layout', 'intake', 'epoch:' .. ARGV[2], 'max_length')
if not settings[1] then
  redis.call('HSET', KEYS[1], 'layout', ARGV[1])
elseif tonumber(settings[1]) > tonumber(ARGV[1]) then
  return {'layout', settings[1]}
end
local seen, epoch = tonumber(settings[3] or '0'), tonumber(ARGV[3])
if epoch < seen then
  return {'stale', seen}
elseif epoch > seen then
  redis.call('HSET', KEYS[1], 'epoch:' .. ARGV[2], ARGV[3])
end
local earlier = redis.call('GET', KEYS[4])
if earlier then
  return {'duplicate', earlier}
end
if settings[2] == 'Reject' then
  return {'closed', ''}
end
local dropped
if settings[4] then
  local refusal, _
  refusal, _, dropped = make_room(settings[4], 1)
  if refusal then
    return refusal
  end
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local from = time[1] * 1000 + math.ceil(time[2] / 1000) -- as in publish.lua
redis.call('SET', KEYS[4], ARGV[5], 'PX', ARGV[4])
local message = string.sub(ARGV[6], 1, 11) .. struct.pack('>I8', now) .. string.sub(ARGV[6], 20)
local delay = tonumber(ARGV[7])
if delay > 0 then
  redis.call('ZADD', KEYS[3], from + delay, message)
  if redis.call('ZRANGE', KEYS[3], 0, 0)[1] == message then
    redis.call('ZADD', KEYS[2], 0, '1')
  end
else
  enqueue(message)
  redis.call('ZADD', KEYS[2], 0, '1')
end
if dropped and #dropped > 0 then
  keep_dropped(dropped) -- a worker or a beat tells those who wait
end
return {'ok', now}

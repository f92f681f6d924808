-- One turn of a worker's child on one queue: write the outcomes of what it finished, promote what is due, fetch more.
--
-- KEYS  1 owned, 2 meta, 3 bell, 4 eta, 5 in-flight count, 6 dead, 7..16 ready lists by priority 0..9,
--       17 fair order, 18 its clocks; then, in the order of the outcomes that store: result key [, inbox key if it replies]
-- ARGV  1 want: how many messages to fetch at most
--       2 number of outcomes, then for each:
--         kind, tag, store ("0" nothing, "1" record, "2" record and reply)
--         if store > 0: record, ttl in ms; if store = 2: task id
--         kind "r" (retry): new message, delay in ms
--         kind "b" (give back): delay in ms
--         kind "d" (dead): reason
--       (kinds "a" ack and "q" requeue take nothing more)
--       then, only where an end frees something: what parts/places.lua says (its keys after the results' ones)
-- Returns {"lost"} when the owner is fenced off, else
--         {"ok", now ms, ms until the next due message or -1, more (0/1), max deliveries, first tag, messages, lost tags
--          [, ms until the rate limit lets the next message go, or nil [, options for tasks without their own]]}
--
-- The fence comes first: an owner that was buried has no field "@", and nothing of what it reports is written.
-- HDEL of the tag comes before the effects of an outcome: only what was still this owner's counts.
--
-- A Redis at its maxmemory refuses a script's first write if that takes memory, and no later one. So what takes away is written
-- before what adds, here and in all scripts of a worker: it must go on, since it alone makes room.

local owned, meta, bell, eta, inflight, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local META, READY = meta, 7
local REPLY_CAP = 100000
local REPLY_TTL = 3600000
local PROMOTE = 256

local last_tag = redis.call('HGET', owned, '@')
if not last_tag then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local from = time[1] * 1000 + math.ceil(time[2] / 1000) -- rounded up, so that no delay is shorter than asked for
local settings = redis.call('HMGET', meta, 'dispatch', 'max_concurrency', 'max_deliveries', 'dead_policy', 'dead_retention', 'dead_max',
  'rate', 'fair', 'task_defaults')

-- include enqueue
-- include raise
fair_used = settings[8]

-- include places

-- 1. Outcomes.
local want = tonumber(ARGV[1])
local outcomes = tonumber(ARGV[2])
local at, key = 3, READY + 12
local ended, unstarted, lost = 0, 0, {}
local backs = {}
local returned = false
local soonest -- when the first of those that wait from now on is due

for _ = 1, outcomes do
  local kind, tag, store = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  local message
  if kind ~= 'a' and kind ~= 'r' then
    message = redis.call('HGET', owned, tag)
  end
  local ours = redis.call('HDEL', owned, tag) == 1
  if ours then
    ended = ended + 1
  else
    lost[#lost + 1] = tonumber(tag)
  end
  if store ~= '0' then
    if ours then
      local ttl, old = ARGV[at + 1], nil
      if ttl == '0' then
        old = redis.call('SET', KEYS[key], ARGV[at], 'GET')
      else
        old = redis.call('SET', KEYS[key], ARGV[at], 'PX', ttl, 'GET')
      end
      if old and string.byte(old, 2) == 1 then
        -- include watchers
        store_over_watch(KEYS[key], (read_watch(old)), ARGV[at], ttl, string.match(KEYS[key], '{(.*)}:res$'))
      end
    end
    if store == '2' then
      if ours then
        redis.call('RPUSH', KEYS[key + 1], ARGV[at + 2] .. '\n' .. ARGV[at])
        redis.call('LTRIM', KEYS[key + 1], -REPLY_CAP, -1)
        redis.call('PEXPIRE', KEYS[key + 1], REPLY_TTL)
      end
      at = at + 3
      key = key + 2
    else
      at = at + 2
      key = key + 1
    end
  end
  if kind == 'r' then
    if ours then
      local fresh = ARGV[at]
      local delay = tonumber(ARGV[at + 1])
      if delay > 0 then
        redis.call('ZADD', eta, from + delay, fresh)
        soonest = math.min(soonest or from + delay, from + delay)
      else
        enqueue(fresh)
      end
      returned = true
    end
    at = at + 2
  elseif kind == 'b' then
    local delay = tonumber(ARGV[at])
    at = at + 1
    if ours then
      unstarted = unstarted + 1
      if delay > 0 then
        redis.call('ZADD', eta, from + delay, message)
        soonest = math.min(soonest or from + delay, from + delay)
      else
        backs[#backs + 1] = message
      end
      returned = true
    end
  elseif kind == 'q' then
    if ours then
      backs[#backs + 1] = raise(raise(message, 4), 10)
      returned = true
    end
  elseif kind == 'd' then
    if ours and settings[4] ~= 'Discard' then
      redis.call('ZADD', dead, now, struct.pack('>I4', #ARGV[at]) .. ARGV[at] .. message)
      redis.call('ZREMRANGEBYSCORE', dead, '-inf', now - (tonumber(settings[5]) or 604800) * 1000)
      redis.call('ZREMRANGEBYRANK', dead, 0, -1 - (tonumber(settings[6]) or 100000))
    end
    at = at + 1
  end
end
if ARGV[at] then
  free_all(at, key, lost, backs)
  returned = returned or #backs > 0
end
-- Last first, so that what was fetched first stands in front again.
for i = #backs, 1, -1 do
  enqueue_in_front(backs[i])
end

-- 2. Promotion.
local due = redis.call('ZRANGEBYSCORE', eta, '-inf', now, 'LIMIT', 0, PROMOTE)
if #due > 0 then
  redis.call('ZREMRANGEBYRANK', eta, 0, #due - 1)
end
for i = 1, #due do
  enqueue(due[i])
end
local next_due = -1
local head = redis.call('ZRANGE', eta, 0, 0, 'WITHSCORES')
if head[2] then
  next_due = math.max(0, tonumber(head[2]) - now)
end

-- 3. Fetch.
local held = settings[1] == 'Held'
local limit = tonumber(settings[2])
local running = 0
local was_full = false
if limit then
  running = tonumber(redis.call('GET', inflight) or '0')
  was_full = running >= limit
  want = math.min(want, math.max(0, limit - (running - ended)))
end
local rate
if settings[7] then
  -- include rate
  want = math.min(want, rate.free)
end
local messages, taken = {}, 0
local alone = false
-- include take
if want > 0 and not held then
  if fair_used then
    -- include take_fairly
  else
    for priority = 9, 0, -1 do
      take_from(KEYS[READY + priority])
      if alone or taken >= want then
        break
      end
    end
  end
end
if rate and taken + unstarted > 0 then
  rate.spend(taken)
end
local first_tag = tonumber(last_tag) + 1
if taken > 0 then
  local fields = {'@', first_tag + taken - 1}
  for i = 1, taken do
    fields[#fields + 1] = first_tag + i - 1
    fields[#fields + 1] = messages[i]
  end
  redis.call('HSET', owned, unpack(fields))
end
if taken ~= ended then
  if redis.call('INCRBY', inflight, taken - ended) <= 0 then
    redis.call('DEL', inflight)
  end
end

-- 4. The bell: ring on only if this call took something and more can be taken, or gave something back, or freed a binding
-- limit, or wanted nothing (a busy child passes on the bell that it answered). Ringing whenever something remains would spin
-- on a queue that is held or full. As in `publish`, a delayed message rings only when it becomes the earliest.
local more, limited = 0, nil
local stirred = taken > 0 or returned or #due > 0 or ARGV[1] == '0' or (was_full and ended > 0)
if not held and (rate or stirred) then
  local room = not limit or running - ended + taken < limit
  if room and redis.call('EXISTS', unpack(KEYS, READY, READY + (fair_used and 10 or 9))) > 0 then
    if rate and rate.free - taken < 1 then
      limited = rate.watch(taken)
    elseif stirred then
      more = 1
      redis.call('ZADD', bell, 0, '1')
    end
  end
end
if soonest and soonest == tonumber(head[2]) and not held then
  redis.call('ZADD', bell, 0, '1')
end
local max_deliveries = tonumber(settings[3]) or 3
if settings[9] then
  return {'ok', now, next_due, more, max_deliveries, first_tag, messages, lost, limited or false, settings[9]}
end
return {'ok', now, next_due, more, max_deliveries, first_tag, messages, lost, limited}

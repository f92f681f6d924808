-- Publish messages to one queue.
--
-- KEYS  1 meta, 2 bell, 3 eta, 4..13 ready lists by priority 0..9, 14 fair order, 15 its clocks, 16 in-flight count,
--       17 dropped messages, 18 park, 19.. the locks of unique tasks; or 4 alone, for one message without group or delay: the list that it goes to
-- ARGV  1 layout version of the caller
--       then for each message: payload, delay in ms ("0" = ready at once)
--       then for each lock: number of its message (from 1 on), task id, ms that it lives, "1" = it replaces another one
-- Returns {status, detail}: {"ok", now ms [, first tag, dropped messages, {number of a message that was not sent, task id of the
--         one that has its lock, ...}, 1 = the queue is new, or had ended before]}, {"closed", ""}, {"full", {waiting, bound}},
--         {"layout", version in Redis}, {"whole", ""}: the queue has a bound, call again with all keys
--
-- The intake and the bound are checked, the enqueue time is stamped, and the bell rings in one step. A burst rings once: the
-- bell holds one marker. A delayed message rings only when it becomes the earliest, since the workers wait until the earliest one.

local call = redis.call
local META, ETA, READY = KEYS[1], KEYS[3], 4

local settings = call('HMGET', META, 'layout', 'intake', 'max_length')
if settings[1] and tonumber(settings[1]) > tonumber(ARGV[1]) then
  return {'layout', settings[1]}
end
if settings[2] == 'Reject' then
  return {'closed', ''}
end
local one_list = #KEYS == 4 and KEYS[4]
if settings[3] and one_list then
  return {'whole', ''}
end
if not settings[1] then
  call('HSET', META, 'layout', ARGV[1])
end

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local from = time[1] * 1000 + math.ceil(time[2] / 1000) -- rounded up, so that no delay is shorter than asked for
local stamp = struct.pack('>I8', now)
if one_list then
  call('RPUSH', one_list, string.sub(ARGV[2], 1, 11) .. stamp .. string.sub(ARGV[2], 20))
  call('ZADD', KEYS[2], 0, '1')
  if not settings[1] then
    return {'ok', now, 0, {}, {}, 1}
  end
  return {'ok', now}
end

-- include enqueue
-- include make_room

-- Whose lock is taken is not sent, unless it replaces. A lock holds, a line each, the id of its task, how often the queue was
-- purged before, and the message if that is delayed and may be replaced: then it is fetched at once, so that somebody ends it.
-- Any other one that was replaced is found out when it is fetched. Locks from before the last purge do not count: their tasks
-- may be gone.
local FIRST_LOCK = 19
local last = #ARGV - 4 * math.max(0, #KEYS - FIRST_LOCK + 1)
local claims, taken, refused = {}, {}, {}
local purges = #KEYS >= FIRST_LOCK and (call('HGET', META, 'purges') or '0')
for key = FIRST_LOCK, #KEYS do
  local at = last + 4 * (key - FIRST_LOCK)
  local number, id = tonumber(ARGV[at + 1]), ARGV[at + 2]
  local old = call('GET', KEYS[key])
  local owner, since, message = string.match(old or '', '^([^\n]*)\n(%d+)\n(.*)$')
  if owner and since ~= purges then
    owner, message = nil, nil
  end
  owner = taken[KEYS[key]] or owner
  if owner and ARGV[at + 4] ~= '1' then
    refused[#refused + 1] = number
    refused[#refused + 1] = owner
    claims[number] = false
  else
    taken[KEYS[key]] = id
    claims[number] = {KEYS[key], id, ARGV[at + 3], ARGV[at + 4] == '1', message}
  end
end

local function claim(key, id, ms, replaces, message, delay, old)
  local kept = replaces and delay > 0 and message or ''
  call('SET', key, id .. '\n' .. purges .. '\n' .. kept, 'PX', ms)
  if old and old ~= '' and call('ZREM', ETA, old) == 1 then
    enqueue(old)
    return true
  end
  return false
end

local ring, skip, dropped = false, 0, nil
if settings[3] then
  local refusal
  refusal, skip, dropped = make_room(settings[3], (last - 1 - #refused) / 2)
  if refusal then
    return refusal
  end
end
for i = 2, last, 2 do
  local raw = ARGV[i]
  local message = string.sub(raw, 1, 11) .. stamp .. string.sub(raw, 20)
  local delay = tonumber(ARGV[i + 1])
  local lock = claims[i / 2]
  if lock and skip == 0 and claim(lock[1], lock[2], lock[3], lock[4], message, delay, lock[5]) then
    ring = true
  end
  if lock == false then
    -- another one stands for it
  elseif skip > 0 then
    skip = skip - 1
    dropped[#dropped + 1] = message
  elseif delay > 0 then
    call('ZADD', ETA, from + delay, message)
    if call('ZRANGE', ETA, 0, 0)[1] == message then
      ring = true
    end
  else
    enqueue(message)
    ring = true
  end
end
if ring then
  call('ZADD', KEYS[2], 0, '1')
end
local new = settings[1] and 0 or 1
if dropped and #dropped > 0 then
  local kept = keep_dropped(dropped)
  return {'ok', now, kept[1], kept[2], refused, new}
end
if #refused > 0 or new == 1 then
  return {'ok', now, 0, {}, refused, new}
end
return {'ok', now}

-- Let a delivery run, or put its message aside until its limits allow it. For tasks with limits only.
--
-- KEYS  1 owned, 2 meta, 3 bell, 4 eta, 5 in-flight count, 6 hold, 7 park [, rate] [, lock of the unique task]
-- ARGV  1 owner, 2 tag
--       3 key of the concurrency limit ("" = none), 4 its places
--       5 microseconds between two starts ("0" = no rate limit), 6 how much earlier than that a start may be
--       7 task id, if its lock is to be looked at ("" = not)
-- Returns "lost" when the owner is fenced off; "gone", the message is not this owner's any more; "replaced", another task has
--         taken its lock: end it; "parked" or "delayed", the message is put aside; "go"
--
-- May be repeated: a delivery that has its place keeps it. One without may take a second start, and run later.
--
-- Rate: s is when the next start is due, r the next free slot. Who has to wait gets a slot of his own, a flag that says so, and
-- is delayed until then: so each message is put aside once, however many there are. A flagged one that is late, since nobody
-- worked or others were late too, gets another slot.

-- include places

local call = redis.call
local owned, eta, inflight, hold, park = KEYS[1], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local tag, place, interval, id = ARGV[2], ARGV[3], tonumber(ARGV[5]), ARGV[7]
local holder = 'o:' .. ARGV[1] .. ':' .. tag
local found = call('HMGET', owned, '@', tag)
local message = found[2]
if not found[1] then
  return 'lost'
end
if not message then
  return 'gone'
end

local next_key = 8
local rate = interval > 0 and KEYS[next_key]
if rate then
  next_key = next_key + 1
end
if id ~= '' then
  local locked = call('GETRANGE', KEYS[next_key], 0, #id)
  if locked ~= '' and locked ~= id .. '\n' then
    return 'replaced'
  end
end

if place ~= '' then
  if call('HEXISTS', hold, holder) == 1 then
    return 'go'
  end
  if tonumber(call('HGET', hold, 'k:' .. place) or '0') >= tonumber(ARGV[4]) then
    call('HDEL', owned, tag)
    if call('DECR', inflight) <= 0 then
      call('DEL', inflight)
    end
    local rank = string.char(9 - math.min(string.byte(message, 3), 9)) .. string.sub(message, 12, 27)
    call('ZADD', park, 0, place .. '\0' .. rank .. message)
    return 'parked'
  end
end

if rate then
  local time = call('TIME')
  local now = time[1] * 1000000 + time[2]
  local state = call('HMGET', rate, 's', 'r')
  local start, slot = tonumber(state[1]) or 0, tonumber(state[2]) or 0
  local reserved = bit.band(string.byte(message, 2), RESERVED) > 0
  local function keep()
    call('HSET', rate, 's', string.format('%.0f', start), 'r', string.format('%.0f', slot))
    call('PEXPIRE', rate, math.ceil((math.max(start, slot) - now) / 1000) + 1000)
  end
  if start > now + (reserved and tonumber(ARGV[6]) or 0) or (not reserved and slot > math.max(start, now)) then
    local due = math.max(start, slot, now)
    slot = due + interval
    call('HDEL', owned, tag)
    if call('DECR', inflight) <= 0 then
      call('DEL', inflight)
    end
    keep()
    message = flag(message, RESERVED, 0)
    call('ZADD', eta, math.ceil(due / 1000), message)
    if call('ZRANGE', eta, 0, 0)[1] == message and call('HGET', KEYS[2], 'dispatch') ~= 'Held' then
      call('ZADD', KEYS[3], 0, '1')
    end
    return 'delayed'
  end
  start = math.max(start, now) + interval
  slot = math.max(slot, start)
  keep()
  if reserved then
    call('HSET', owned, tag, flag(message, 0, RESERVED)) -- a slot is good for one start
  end
end

if place ~= '' then
  call('HSET', hold, holder, place)
  call('HINCRBY', hold, 'k:' .. place, 1)
end
return 'go'

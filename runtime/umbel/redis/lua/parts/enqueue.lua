-- Where a message waits. KEYS[READY] is the ready list of priority 0; then come those of 1..9, the fair order, its clocks.
--
-- A message of a group (flag 16; the digest of its group stands at a fixed place in its headers) waits in the fair order, a
-- sorted set: the priorities one above the other, each ordered by start-time fair queueing. Its score is the greater of the
-- priority's clock and of what its group's last message left behind. Both stand in the sorted set of clocks: member
-- "<priority>" is the clock, "<priority><digest>" a group. The field "fair" of meta says that the set is in use.
local LEVEL = 562949953421312 -- 2^49: a double counts ten of them exactly
local START = 281474976710656 -- 2^48: where a priority's clock begins; what goes back to the front stands below
local COST = 1000 -- of one message at weight 1
local fair_used, weights = false, nil

local function priority_of(message)
  return math.min(string.byte(message, 3) or 0, 9)
end

local function is_grouped(message)
  return #message >= 51 and bit.band(string.byte(message, 2), 16) > 0
end

local function use_fair()
  if not fair_used then
    redis.call('HSET', META, 'fair', '1')
    fair_used = true
  end
end

-- Let a message wait behind those of its kind.
local function enqueue(message)
  local priority = priority_of(message)
  if not is_grouped(message) then
    redis.call('RPUSH', KEYS[READY + priority], message)
    return
  end
  use_fair()
  weights = weights or redis.call('HGET', META, 'weights') or ''
  local clocks, digest = KEYS[READY + 11], string.sub(message, 36, 51)
  local clock = redis.call('ZSCORE', clocks, tostring(priority))
  local last = redis.call('ZSCORE', clocks, priority .. digest)
  local start = math.max((9 - priority) * LEVEL + START, tonumber(clock or '0'), tonumber(last or '0'))
  local weight = tonumber(string.match(weights, digest .. '=(%d+)') or '1')
  redis.call('ZADD', KEYS[READY + 10], start, message)
  redis.call('ZADD', clocks, start + math.floor(COST / weight), priority .. digest)
end

-- Let a message wait in front of all others of its priority.
local function enqueue_in_front(message)
  local priority = priority_of(message)
  if not is_grouped(message) then
    redis.call('LPUSH', KEYS[READY + priority], message)
    return
  end
  use_fair()
  local base = (9 - priority) * LEVEL
  local first = redis.call('ZRANGEBYSCORE', KEYS[READY + 10], base, base + START, 'WITHSCORES', 'LIMIT', 0, 1)[2]
  redis.call('ZADD', KEYS[READY + 10], tonumber(first or base + START) - 1, message)
end

-- Take messages by priority, and of each priority in the order of fairness; see enqueue.lua.

-- Take of one priority while groups have something of it. What has no group counts as one group: its turn comes when the clock
-- has reached what its last message left behind.
local function take_level(priority)
  local fair, clocks, list = KEYS[READY + 10], KEYS[READY + 11], KEYS[READY + priority]
  local base = (9 - priority) * LEVEL
  local clock, turn
  while true do
    local first = redis.call('ZRANGE', fair, 0, 0, 'WITHSCORES')
    local score = tonumber(first[2])
    if not score or score >= base + LEVEL then
      if clock then
        redis.call('ZREMRANGEBYSCORE', clocks, base, base + LEVEL - 1) -- nobody waits: the next one to come starts afresh
      end
      return
    end
    if not clock then
      clock = tonumber(redis.call('ZSCORE', clocks, tostring(priority)) or base + START)
      turn = tonumber(redis.call('ZSCORE', clocks, priority .. '-') or '0')
    end
    if alone or taken >= want then
      break
    end
    local start = math.max(clock, turn)
    local message = start <= score and redis.call('LPOP', list)
    if message then
      if not accept(message) then
        redis.call('LPUSH', list, message)
        break
      end
      clock, turn = start, start + COST
    else
      redis.call('ZREM', fair, first[1])
      if not accept(first[1]) then
        redis.call('ZADD', fair, score, first[1])
        break
      end
      clock = math.max(clock, score)
    end
  end
  redis.call('ZADD', clocks, clock, tostring(priority))
  if turn > clock then
    redis.call('ZADD', clocks, turn, priority .. '-')
  end
  redis.call('ZREMRANGEBYSCORE', clocks, base, '(' .. string.format('%.0f', clock)) -- they would start at the clock anyway
end

for priority = 9, 0, -1 do
  take_level(priority)
  if not alone and taken < want then
    take_from(KEYS[READY + priority])
  end
  if alone or taken >= want then
    break
  end
end
if redis.call('EXISTS', KEYS[READY + 10]) == 0 then
  redis.call('DEL', KEYS[READY + 11])
  redis.call('HDEL', meta, 'fair')
end

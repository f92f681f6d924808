-- The bound on how many messages wait. KEYS as enqueue.lua has them, after the clocks the in-flight count, what was dropped,
-- and what waits for a place.

-- Make room for so many messages where the queue has a bound. Returns what to answer where they are refused; else nil, the
-- number of those of them that are to be dropped at once, and what was dropped already: {first tag, messages}.
local function make_room(bound, coming)
  local ready = {unpack(KEYS, READY, READY + 9)}
  local waiting = redis.call('ZCARD', ETA) + redis.call('ZCARD', KEYS[READY + 10]) + redis.call('ZCARD', KEYS[READY + 14])
  for i = 1, 10 do
    waiting = waiting + redis.call('LLEN', ready[i])
  end
  local excess = waiting + coming - tonumber(bound)
  if excess <= 0 then
    return nil, 0, nil
  end
  if redis.call('HGET', META, 'overflow') ~= 'DropOldest' then
    return {'full', {waiting, tonumber(bound)}}, 0, nil
  end
  -- A bound that was lowered is reached bit by bit.
  local messages = {}
  local wanted = math.min(excess, waiting, coming + 256)
  local last = redis.call('ZRANGE', KEYS[READY + 10], -1, -1)[1]
  local priority = 0
  while #messages < wanted and priority <= 9 do
    if last and priority_of(last) == priority and redis.call('LLEN', ready[priority + 1]) == 0 then
      messages[#messages + 1] = redis.call('ZPOPMAX', KEYS[READY + 10])[1]
      last = redis.call('ZRANGE', KEYS[READY + 10], -1, -1)[1]
    else
      local popped = redis.call('LPOP', ready[priority + 1], wanted - #messages) or {}
      for i = 1, #popped do
        messages[#messages + 1] = popped[i]
      end
      if #popped == 0 then
        priority = priority + 1
      end
    end
  end
  if #messages < wanted then
    local due = redis.call('ZPOPMIN', ETA, wanted - #messages)
    for i = 1, #due, 2 do
      messages[#messages + 1] = due[i]
    end
  end
  return nil, math.max(0, excess - waiting), messages
end

-- Keep what was dropped until somebody has told those who wait for it: as if an owner held it, who never ends.
-- Returns {first tag, messages}.
local function keep_dropped(messages)
  local held = KEYS[READY + 13]
  local first = redis.call('HINCRBY', held, '@', #messages) - #messages + 1
  for i = 1, #messages do
    redis.call('HSET', held, first + i - 1, messages[i])
  end
  redis.call('INCRBY', KEYS[READY + 12], #messages)
  return {first, messages}
end

-- Put some of what waits in a queue aside, for those who wait for it to be told: it stands as if an owner held it, like what a
-- full queue drops. It is taken out first: a Redis without memory refuses a script that has freed nothing.

-- ready: the ready lists; eta, fair, park: as they are named in keys.py; held: what is put aside; inflight: the in-flight count;
-- most: how many messages at the most; mark: makes of each message what is kept.
-- Returns {first tag, messages}.
local function set_aside(ready, eta, fair, park, held, inflight, most, mark)
  local messages = {}
  for i = 1, #ready do
    if #messages < most then
      local popped = redis.call('LPOP', ready[i], most - #messages) or {}
      for j = 1, #popped do
        messages[#messages + 1] = mark(popped[j])
      end
    end
  end
  local sorted = {eta, fair, park}
  for i = 1, 3 do
    if #messages < most then
      local popped = redis.call('ZPOPMIN', sorted[i], most - #messages)
      for j = 1, #popped, 2 do
        local message = popped[j]
        if i == 3 then -- behind its key, a zero byte, and 17 bytes that sort it
          message = string.sub(message, (string.find(message, '\0', 1, true) or -18) + 18)
        end
        messages[#messages + 1] = mark(message)
      end
    end
  end
  if #messages == 0 then
    return {0, messages}
  end
  local first = redis.call('HINCRBY', held, '@', #messages) - #messages + 1
  for i = 1, #messages do
    redis.call('HSET', held, first + i - 1, messages[i])
  end
  redis.call('INCRBY', inflight, #messages)
  return {first, messages}
end

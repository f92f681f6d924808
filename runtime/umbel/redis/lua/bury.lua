-- Second step of a burial, on one queue: fence the owner, then move what it held back to the front, a chunk a call.
--
-- KEYS  1 owned, 2 bell, 3 in-flight count, 4 meta, 5..14 ready lists by priority 0..9, 15 fair order, 16 its clocks,
--       17 hold, 18 park
-- ARGV  1 chunk: messages to move at most
--       2 charge: "none", "lost" (only the guilty tag), "suspect" (the tags that are named, or each message), "requeue" (each)
--       3 guilty tag ("" = none), 4 owner, then tags: those that were under way, for "suspect"
-- Returns {moved, left}
--
-- Highest tags go first, each to the front, so that the order of fetching is restored, over several chunks too. Before them
-- go those that may have the dead owner's places: what lost its place comes first.

local META, READY, hold, park = KEYS[4], 5, KEYS[17], KEYS[18]
-- include enqueue
-- include places
-- include raise

redis.call('HDEL', KEYS[1], '@')
local woken = 0
local prefix = 'o:' .. ARGV[4] .. ':'
for _, holder in ipairs(redis.call('HKEYS', hold)) do -- as many as deliveries with a place run right now
  if string.sub(holder, 1, #prefix) == prefix then
    local message = free_place(hold, park, holder)
    if message then
      enqueue_in_front(message)
      woken = woken + 1
    end
  end
end

local tags = redis.call('HKEYS', KEYS[1])
table.sort(tags, function(a, b) return tonumber(a) > tonumber(b) end)

local named = {}
for i = 5, #ARGV do
  named[ARGV[i]] = true
end

local moved = math.min(#tags, tonumber(ARGV[1]))
for i = 1, moved do
  local message = raise(redis.call('HGET', KEYS[1], tags[i]), 4)
  if ARGV[2] == 'lost' then
    if tags[i] == ARGV[3] then
      message = raise(message, 6)
    end
  elseif ARGV[2] == 'suspect' then
    if #ARGV < 5 or named[tags[i]] then
      message = raise(message, 8)
    end
  elseif ARGV[2] == 'requeue' then
    message = raise(message, 10)
  end
  enqueue_in_front(message)
  redis.call('HDEL', KEYS[1], tags[i])
end
if moved > 0 and redis.call('DECRBY', KEYS[3], moved) <= 0 then
  redis.call('DEL', KEYS[3])
end
if moved + woken > 0 then
  if redis.call('HGET', KEYS[4], 'dispatch') ~= 'Held' then
    redis.call('ZADD', KEYS[2], 0, '1')
  end
end
return {moved, #tags - moved}

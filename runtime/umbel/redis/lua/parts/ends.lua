-- Part of `cycle`, after `places`: what the ends of deliveries free, besides the message itself.
--
-- KEYS from `key` on: hold, park (where places are freed), then the lock of each unique task
-- ARGV from `at` on: owner, number of places, their tags, number of locks, then for each: tag, task id,
--       "0" = ended, else ms that the lock lives on (the task is retried)
--
-- Appends to `backs` the messages that may have the places now. A lock goes only with its own task, and only if the end
-- counted: a message that was taken from this owner runs again, and keeps it.

local function free_all(at, key, lost, backs)
  local owner, places = ARGV[at], tonumber(ARGV[at + 1])
  at = at + 2
  if places > 0 then
    for i = 1, places do
      backs[#backs + 1] = free_place(KEYS[key], KEYS[key + 1], 'o:' .. owner .. ':' .. ARGV[at])
      at = at + 1
    end
    key = key + 2
  end
  local refused = {}
  for i = 1, #lost do
    refused[lost[i]] = true
  end
  local locks = tonumber(ARGV[at])
  at = at + 1
  for i = 1, locks do
    local id = ARGV[at + 1]
    local locked = redis.call('GETRANGE', KEYS[key], 0, #id)
    if not refused[tonumber(ARGV[at])] and (locked == id or locked == id .. '\n') then
      if ARGV[at + 2] == '0' then
        redis.call('DEL', KEYS[key])
      else
        redis.call('PEXPIRE', KEYS[key], ARGV[at + 2])
      end
    end
    at = at + 3
    key = key + 1
  end
end

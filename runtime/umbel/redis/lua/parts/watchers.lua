-- What stands in the place of a record while somebody waits: a "watch", a record of state 1 (PENDING) whose value names inboxes, a
-- line each. A line that begins with "+" wants to hear of every state, the others of the end only. A state that is not final is
-- kept behind the names, after a byte 0, so that the watch outlasts it.
local UPDATES_CAP = 1000
local WATCH_TTL = 86400000

-- Return the names in a watch, and the record behind them or nil.
local function read_watch(stored)
  local cut = string.find(stored, '\0', 17, true)
  if cut then
    return string.sub(stored, 17, cut - 1), string.sub(stored, cut + 1)
  end
  return string.sub(stored, 17), nil
end

-- Return a watch of these names, with a record behind them; it has the record's attempt, for the guards of scripts.
local function make_watch(names, record)
  return '\1\1' .. string.sub(record, 3, 4) .. string.rep('\0', 12) .. names .. '\0' .. record
end

-- Store a record where a watch stands, and tell those whom it names. Of a state that is not final only those hear who asked for it,
-- and no more of them than fit: who does not read them any more shall not fill the memory.
local function store_over_watch(key, names, record, ttl, task_id)
  local final = string.byte(record, 2) >= 16
  if final and ttl == '0' then
    redis.call('SET', key, record)
  elseif final then
    redis.call('SET', key, record, 'PX', ttl)
  else
    redis.call('SET', key, make_watch(names, record), 'PX', math.max(tonumber(ttl), WATCH_TTL))
  end
  for line in string.gmatch(names, '[^\n]+') do
    local every = string.sub(line, 1, 1) == '+'
    local inbox = every and string.sub(line, 2) or line
    if final or (every and redis.call('LLEN', inbox) < UPDATES_CAP) then
      redis.call('RPUSH', inbox, task_id .. '\n' .. record)
      redis.call('PEXPIRE', inbox, 3600000)
    end
  end
end

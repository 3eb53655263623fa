#!lua flags=allow-oom
-- Decides whose clients and nicks are, in the order in which a node asks. Asked for again, it is
-- answered again. ARGV: node, life, number, msgpack of what is asked: see claims.py.
-- Gives the last id of the feed, and msgpack of an answer for each.
--
-- {gc}:claims has `c:` and a client: node, nick, its folded form, the entry of the feed that says
-- that it moved, until when it is held if it is lost, nick and folded form to go back to; `n:` and
-- a folded nick: node, owner, nick, skeleton; `s:` and a skeleton: the folded nick. An owner is `c`
-- and a client, or `a`, an account. What belongs to a node that has ended is free.
-- include fence.lua
-- include posts.lua
local FREE, IN_USE, SIMILAR, MOVED = 0, 1, 2, 3
local OF_ACCOUNT = -1
local CLAIMS = '{gc}:claims'
local SOME_GUESTS = 1000000  -- more than nodes can have got that nothing is known of any more
local node, life, number = ARGV[1], ARGV[2], tonumber(ARGV[3])

fence(node, life)
local place = node .. '/claims'
local former = redis.call('HGET', '{gc}:nodes', place)
if former then
  former = cmsgpack.unpack(former)
  if number == former[1] then
    return {former[2], former[3]}
  elseif number < former[1] then
    return redis.error_reply('STALE a later request was answered')
  end
end
redis.call('HLEN', CLAIMS)  -- a key of another type fails here, before all
local of_life = redis.call('HGET', '{gc}:life', 'claims')
if of_life ~= life then  -- all clients come anew
  redis.call('UNLINK', CLAIMS)
  redis.call('HSET', '{gc}:life', 'claims', life)
  if of_life then
    redis.call('HINCRBY', '{gc}:life', 'guests', SOME_GUESTS)
  end
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local living = {}
local function lives(name)
  if living[name] == nil then
    living[name] = redis.call('HEXISTS', '{gc}:leases', name) == 1
  end
  return living[name]
end

local function get(field)
  local found = redis.call('HGET', CLAIMS, field)
  return found and cmsgpack.unpack(found)
end

local function set(field, value)
  redis.call('HSET', CLAIMS, field, cmsgpack.pack(value))
end

-- Clients: {node, nick, folded, place, until, former nick, its folded form}.
local function client_of(id)
  local found = get('c:' .. id)
  return found and {node = found[1], nick = found[2], folded = found[3], place = found[4],
    till = found[5], former = found[6], former_folded = found[7]}
end

local function put_client(id, c)
  set('c:' .. id, {c.node, c.nick, c.folded, c.place, c.till, c.former, c.former_folded})
end

local function own_client(id)
  local c = client_of(id)
  return c and c.node == node and c
end

-- Nicks: {node, owner, nick, skeleton}.
local function nick_of(folded)
  local found = get('n:' .. folded)
  return found and {node = found[1], owner = found[2], nick = found[3], skeleton = found[4]}
end

local function free(folded, nick)
  redis.call('HDEL', CLAIMS, 'n:' .. folded)
  if redis.call('HGET', CLAIMS, 's:' .. nick.skeleton) == folded then
    redis.call('HDEL', CLAIMS, 's:' .. nick.skeleton)
  end
end

local function free_own(folded, owner)
  local nick = folded ~= '' and nick_of(folded)
  if nick and nick.node == node and (not owner or nick.owner == owner) then
    free(folded, nick)
  end
end

local function give(folded, owner, nick, skeleton)
  local was = nick_of(folded)
  if was then
    free(folded, was)  -- its former spelling may have another skeleton
  end
  set('n:' .. folded, {node, owner, nick, skeleton})
  redis.call('HSET', CLAIMS, 's:' .. skeleton, folded)
end

-- For how long the nick of an owner is held; 0: it is in use.
local function held(owner)
  if string.sub(owner, 1, 1) == 'a' then
    return OF_ACCOUNT
  end
  local c = client_of(string.sub(owner, 2))
  return c and c.till > 0 and math.max(c.till - now, 1) or 0
end

-- The nick of somebody else because of which an owner cannot have one; and what that means.
local function in_the_way(folded, skeleton, owner)
  local nick = nick_of(folded)
  if nick and nick.owner ~= owner and lives(nick.node) then
    return nick, IN_USE
  end
  local like = redis.call('HGET', CLAIMS, 's:' .. skeleton)
  nick = like and nick_of(like)
  if nick and nick.owner ~= owner and lives(nick.node) then
    return nick, SIMILAR
  end
end

-- Whether somebody can have a nick: {FREE}, or what is in the way.
local function judged(folded, skeleton, owner)
  local nick, kind = in_the_way(folded, skeleton, owner)
  return nick and {kind, held(nick.owner), nick.nick} or {FREE}
end

local asked = {}

function asked.known(id)
  local c = client_of(id)
  return c and c.node ~= node and c.nick ~= '' and c.nick
end

-- In place of what was given up, and may have been decided before: see asking.py.
function asked.nothing()
  return {false, '', false}
end

-- Gives the nick, or false, the entry of the feed, and whether the client is new on this node.
function asked.enter(id, guest, nick, folded, skeleton, account)
  local c, owner = client_of(id), 'c' .. id
  local new = not c or c.node ~= node
  if not c then
    c = {nick = '', folded = '', place = '', former = '', former_folded = ''}
  elseif new then
    if lives(c.node) then
      c.place = redis.call('XADD', '{gc}:feed', life .. '-*', 'n', node, 'c', id)
    end
    c.former, c.former_folded = '', ''
  end
  c.node, c.till = node, 0
  if c.folded ~= '' then
    local had = nick_of(c.folded)
    if had and had.owner == owner then
      had.node = node
      set('n:' .. c.folded, {node, owner, had.nick, had.skeleton})
    else
      c.nick, c.folded = '', ''
    end
  end
  if account then
    free_own(c.folded, owner)
    c.nick, c.folded = '', ''
  elseif c.nick == '' then
    if nick and folded == '' then  -- the name of a guest is nobody else's
      c.nick = nick
    elseif nick and judged(folded, skeleton, owner)[1] == FREE then
      give(folded, owner, nick, skeleton)
      c.nick, c.folded = nick, folded
    else
      c.nick = guest
    end
  end
  put_client(id, c)
  return {c.nick ~= '' and c.nick, c.place, new}
end

-- Gives the node that has the client, or its nick, if it is another one.
function asked.hold(id, nick, folded, skeleton, ms)
  local c, owner = client_of(id), 'c' .. id
  if c and c.node ~= node then
    return c.node
  elseif not c then  -- nothing is known of it, as in a new life
    local way = folded ~= '' and in_the_way(folded, skeleton, owner)
    if way then
      return way.node
    elseif folded ~= '' then
      give(folded, owner, nick, skeleton)
    end
    c = {node = node, nick = nick, folded = folded, place = '', former = '', former_folded = ''}
  end
  c.till = now + ms
  put_client(id, c)
end

function asked.leave(id)
  local c = own_client(id)
  if c then
    free_own(c.folded, 'c' .. id)
    redis.call('HDEL', CLAIMS, 'c:' .. id)
  end
end

function asked.check(nick, folded, skeleton)
  return judged(folded, skeleton)
end

function asked.claim(nick, folded, skeleton, id)
  local c, owner = client_of(id), 'c' .. id
  if c and c.node ~= node and lives(c.node) then
    return {MOVED}
  end
  local judgement = judged(folded, skeleton, owner)
  if judgement[1] == FREE then
    c = c or {nick = '', folded = '', place = '', till = 0}
    give(folded, owner, nick, skeleton)
    c.node, c.former, c.former_folded = node, c.nick, c.folded
    c.nick, c.folded = nick, folded
    put_client(id, c)
  end
  return judgement
end

function asked.reserve(nick, folded, skeleton, id)
  local judgement = judged(folded, skeleton, id and 'c' .. id)
  if judgement[1] == FREE then
    give(folded, 'a', nick, skeleton)
    local c = id and client_of(id)
    if c and c.folded == folded then
      c.former, c.former_folded = c.nick, c.folded
      c.nick, c.folded = '', ''
      put_client(id, c)
    end
  end
  return judgement
end

-- What is to be undone may not have been done. `former`: what the client was called before.
function asked.restore(text, folded, id, former, former_folded)
  local nick, c = nick_of(folded), id and client_of(id)
  local owner, own = id and 'c' .. id, nick and nick.node == node
  local has = c and c.node == node
  if own and nick.owner == 'a' and c and c.nick == '' and c.former_folded == folded then
    c.nick, c.folded = c.former, folded
    set('n:' .. folded, {c.node, owner, c.nick, nick.skeleton})
    put_client(id, c)
  elseif own and nick.owner == 'a' then
    free(folded, nick)
  elseif own and nick.owner == owner and has and c.nick == text and c.former == former then
    if c.former_folded ~= folded then  -- else only the spelling was another
      free(folded, nick)
    end
    c.nick, c.folded = c.former, c.former_folded
    put_client(id, c)
    nick = nick_of(c.folded)
    if nick and nick.owner == owner then
      redis.call('HSET', CLAIMS, 's:' .. nick.skeleton, c.folded)
    end
  elseif own and nick.owner == owner and not (has and c.folded == folded) then
    free(folded, nick)
  end
  if owner and not (has and c.folded == former_folded) then
    free_own(former_folded, owner)
  end
end

function asked.unclaim(folded)
  free_own(folded)
end

-- Gives the last of so many numbers; `known`: the highest that the node ever got.
function asked.guests(count, known)
  if tonumber(redis.call('HGET', '{gc}:life', 'guests') or 0) < known then
    redis.call('HSET', '{gc}:life', 'guests', known + SOME_GUESTS)
  end
  return redis.call('HINCRBY', '{gc}:life', 'guests', count)
end

-- Gives the versions of Unicode of all nodes that live.
function asked.unicode(version)
  redis.call('HSET', CLAIMS, 'u:' .. node, version)
  local versions = {}
  for _, name in ipairs(redis.call('HKEYS', '{gc}:leases')) do
    versions[#versions + 1] = redis.call('HGET', CLAIMS, 'u:' .. name) or version
  end
  return versions
end

-- Deletes what belongs to nodes that have ended, of some claims; gives where to go on.
function asked.sweep(cursor, most)
  local found = redis.call('HSCAN', CLAIMS, cursor, 'COUNT', most)
  for at = 1, #found[2], 2 do
    local field, value = found[2][at], found[2][at + 1]
    local kind, name = string.sub(field, 1, 2), string.sub(field, 3)
    if kind == 'u:' then
      if not lives(name) then
        redis.call('HDEL', CLAIMS, field)
      end
    elseif kind == 's:' then
      local nick = nick_of(value)
      if not nick or nick.skeleton ~= name then
        redis.call('HDEL', CLAIMS, field)
      end
    else
      value = cmsgpack.unpack(value)
      if not lives(value[1]) and kind == 'n:' then
        free(name, {skeleton = value[4]})
      elseif not lives(value[1]) then
        redis.call('HDEL', CLAIMS, field)
      end
    end
  end
  return found[1]
end

local feed = info_of('{gc}:feed')
if not feed then  -- then a new life has to begin
  return redis.error_reply('FENCED the feed is missing')
end
local answers = {}
for index, request in ipairs(cmsgpack.unpack(ARGV[4])) do
  answers[index] = asked[request[1]](unpack(request, 2)) or false
end
local last, packed = info_of('{gc}:feed')['last-generated-id'], cmsgpack.pack(answers)
redis.call('HSET', '{gc}:nodes', place, cmsgpack.pack({number, last, packed}))
return {last, packed}

#!lua flags=no-writes
-- The part of a node. ARGV: node, life, the other node. Gives its fields and values.
-- include fence.lua
fence(ARGV[1], ARGV[2])
return redis.call('HGETALL', '{gc}:part:' .. ARGV[3])

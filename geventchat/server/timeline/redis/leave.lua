#!lua flags=allow-oom
-- Ends the lease of a node that ends. ARGV: node, life.
-- include fence.lua
-- include posts.lua
-- include lives.lua
local node, life = unpack(ARGV)
fence(node, life)
remove(life, node)

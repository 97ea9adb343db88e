package main

import "net/netip"

// anyAddress permits every address: at a command line the URL comes from the
// person who types it, not from a stranger's metadata.
var anyAddress = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

package peers

// Peer of a runner in this process.
func PeerOf(r Runner) *Peer { return r.(runner).Peer }

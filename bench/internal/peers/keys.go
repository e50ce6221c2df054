package peers

import (
	"math/rand/v2"

	"github.com/authgraph/authgraph/bench/internal/load"
)

// Tokens are the refresh tokens that are live now, where they are not those that were loaded.
type Tokens map[int]string

// Keys are n random keys for op among the live rows, or as many as there are; the same seed
// gives the same rows. Where an operation uses a row up, none comes twice.
func (t Tokens) Keys(op Op, size load.Size, seed uint64, n int) []Key {
	random := rand.New(rand.NewPCG(seed, 0))
	var first, of int // the rows from first until before of
	switch op {
	case CheckSession:
		first, of = size.FirstLive(size.Sessions), size.Sessions
	case FindUser:
		first, of = size.Users, size.Users+size.Locked
	case SignIn:
		first, of = 0, size.Users
	case VerifyCode:
		first, of = size.FirstLive(size.Codes), size.Codes
	case Rotate:
		first, of = size.FirstLive(size.RefreshTokens), size.RefreshTokens
	}
	used := map[int]bool{}
	if op == VerifyCode || op == Rotate {
		n = min(n, (of-first)/2)
	}
	keys := make([]Key, 0, n)
	for len(keys) < n {
		row := first + random.IntN(of-first)
		if op == VerifyCode || op == Rotate {
			if used[row] {
				continue
			}
			used[row] = true
		}
		keys = append(keys, Key{Row: row, Secret: t.secret(op, row)})
	}
	return keys
}

func (t Tokens) secret(op Op, row int) string {
	switch op {
	case CheckSession:
		return load.SessionToken(row)
	case FindUser, SignIn:
		return load.Email(row)
	case VerifyCode:
		return load.Code(row)
	}
	if token := t[row]; token != "" {
		return token
	}
	return load.RefreshToken(row)
}

// Used takes over the tokens that Rotate gave.
func (t Tokens) Used(op Op, keys []Key) {
	for _, k := range keys {
		if op == Rotate && k.Next != "" {
			t[k.Row] = k.Next
		}
	}
}

// Rows are the rows of keys.
func Rows(keys []Key) []int {
	rows := make([]int, len(keys))
	for i, k := range keys {
		rows[i] = k.Row
	}
	return rows
}

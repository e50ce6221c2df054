package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"

	"github.com/authgraph/authgraph/auth/internal/graph"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// The strings that the reference implementation of Argon2 is tested with (github.com/P-H-C/phc-winner-argon2,
// src/test.c, version 19). The vector of RFC 9106, 5.3 takes a secret and associated data, which neither the string
// format nor Go's implementation has.
func TestHashesOfTheReferenceImplementationAreVerified(t *testing.T) {
	t.Parallel()
	for _, hash := range []string{
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
		"$argon2id$v=19$m=65536,t=2,p=1$ZGlmZnNhbHQ$vfMrBczELrFdWP0ZsfhWsRPaHppYdP3MVEMIVlqoFBw",
	} {
		ok, _, err := Argon2id{}.Verify("password", hash)
		require.NoError(t, err, hash)
		assert.True(t, ok, hash)
		ok, weak, err := Argon2id{}.Verify("differentpassword", hash)
		require.NoError(t, err, hash)
		assert.False(t, ok, hash)
		assert.False(t, weak, "a hash of another password is not replaced")
	}
}

func TestHashHoldsItsParametersAndSalt(t *testing.T) {
	t.Parallel()
	hasher := Argon2id{Memory: 64, Iterations: 3, Parallelism: 2}
	hash, err := hasher.Hash("password")
	require.NoError(t, err)
	fields := strings.Split(hash, "$")
	require.Len(t, fields, 6)
	assert.Equal(t, []string{"", "argon2id", "v=19", "m=64,t=3,p=2"}, fields[:4])
	salt, key := unbase64(t, fields[4]), unbase64(t, fields[5])
	assert.Len(t, salt, 16)
	assert.Equal(t, argon2.IDKey([]byte("password"), salt, 3, 64, 2, 32), key)
	assert.LessOrEqual(t, len(hash), 255)

	again, err := hasher.Hash("password")
	require.NoError(t, err)
	assert.NotEqual(t, hash, again, "each hash has a salt of its own")
}

func TestHashIsOutdatedIfAnyParameterIsNotTheConfiguredOne(t *testing.T) {
	t.Parallel()
	now := Argon2id{Memory: 64, Iterations: 3, Parallelism: 1}
	for _, test := range []struct {
		made     Argon2id
		outdated bool
	}{
		{now, false},
		{Argon2id{Memory: 63, Iterations: 3, Parallelism: 1}, true},
		{Argon2id{Memory: 64, Iterations: 2, Parallelism: 1}, true},
		{Argon2id{Memory: 64, Iterations: 3, Parallelism: 2}, true},
		{Argon2id{Memory: 128, Iterations: 4, Parallelism: 1}, true},
	} {
		hash, err := test.made.Hash("password")
		require.NoError(t, err)
		assert.True(t, now.Reads(hash))
		ok, outdated, err := now.Verify("password", hash)
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, test.outdated, outdated, "%+v", test.made)
	}
	hash, err := Argon2id{}.Hash("password")
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$"), "OWASP's parameters are the default")
}

func TestWhatIsNoArgon2idHashIsThatOfNoPassword(t *testing.T) {
	t.Parallel()
	good, err := Argon2id{Memory: 64, Iterations: 1, Parallelism: 1}.Hash("password")
	require.NoError(t, err)
	fields := strings.Split(good, "$")
	with := func(i int, value string) string {
		bad := append([]string(nil), fields...)
		bad[i] = value
		return strings.Join(bad, "$")
	}
	for _, hash := range []string{
		"", "password", "$", "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		with(1, "argon2i"), with(1, "argon2d"), with(2, "v=16"), with(2, ""),
		with(3, "m=64,t=1"), with(3, "m=64,t=0,p=1"), with(3, "m=64,t=1,p=0"), with(3, "m=-1,t=1,p=1"),
		with(3, "m=4294967295,t=1,p=1"), with(3, "m=64,t=4294967295,p=1"),
		with(4, "!"), with(5, "!"), with(5, ""), with(5, "AAAA"), good + "$",
	} {
		assert.NotPanics(t, func() {
			assert.False(t, Argon2id{}.Reads(hash), hash)
			ok, _, err := Argon2id{}.Verify("password", hash)
			assert.False(t, ok, hash)
			assert.NoError(t, err, hash)
		}, hash)
	}
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawStdEncoding.DecodeString(s)
	require.NoError(t, err)
	return b
}

func TestTokenIsKeptAsItsSHA256(t *testing.T) {
	t.Parallel()
	// FIPS 180-2, appendix B.1.
	assert.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", ParseToken("abc").hash())
}

func TestTokenIsThe256BitsThatWereRead(t *testing.T) {
	t.Parallel()
	bits := make([]byte, 32)
	for i := range bits {
		bits[i] = byte(i)
	}
	token, err := (&Service{cfg: Config{Random: bytes.NewReader(bits)}}).newToken()
	require.NoError(t, err)
	assert.Equal(t, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", token.Reveal())
}

func TestCodeIsKeptAsAnHMACOverPurposeAddressTicketAndCode(t *testing.T) {
	t.Parallel()
	sum := func(key, data []byte) string {
		h := hmac.New(sha256.New, key)
		h.Write(data)
		return hex.EncodeToString(h.Sum(nil))
	}
	// RFC 4231, test cases 1, 2 and 6.
	for _, v := range []struct{ key, data, want string }{
		{strings.Repeat("\x0b", 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{strings.Repeat("\xaa", 131), "Test Using Larger Than Block-Size Key - Hash Key First",
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	} {
		require.Equal(t, v.want, sum([]byte(v.key), []byte(v.data)))
	}
	for _, key := range [][]byte{bytes.Repeat([]byte("k"), 32), bytes.Repeat([]byte("long"), 40)} {
		assert.Equal(t, sum(key, []byte("password-reset\x00ada@example.com\x00ticket\x00012345")),
			mac(key, schematype.OTPPasswordReset, "ada@example.com", "ticket", ParseCode("012345")))
	}
}

func TestCodeMatchesUnderAnyOfTheKeysAndNothingElse(t *testing.T) {
	t.Parallel()
	first, second, dropped := bytes.Repeat([]byte("1"), 32), bytes.Repeat([]byte("2"), 32),
		bytes.Repeat([]byte("3"), 32)
	s := &Service{cfg: Config{Keys: NewKeys(first, second)}}
	const email, ticket = "ada@example.com", "ticket"
	code := ParseCode("012345")
	row := func(sum, email, ticket string) *ent.OTP {
		return &ent.OTP{OtpHashCode: sum, Email: email, TicketHash: &ticket}
	}
	matches := func(key []byte, kind schematype.OTPType, email, ticket string, c Code) bool {
		return s.matches(row(mac(key, schematype.OTPSignIn, "ada@example.com", "ticket", code), email, ticket), kind, c)
	}
	assert.True(t, matches(first, schematype.OTPSignIn, email, ticket, code))
	assert.True(t, matches(second, schematype.OTPSignIn, email, ticket, code))
	assert.False(t, matches(dropped, schematype.OTPSignIn, email, ticket, code))
	assert.False(t, matches(first, schematype.OTPPasswordReset, email, ticket, code))
	assert.False(t, matches(first, schematype.OTPSignIn, "eve@example.com", ticket, code))
	assert.False(t, matches(first, schematype.OTPSignIn, email, "another", code))
	assert.False(t, matches(first, schematype.OTPSignIn, email, ticket, ParseCode("012346")))
	assert.False(t, matches(first, schematype.OTPSignIn, email, ticket, ParseCode("12345")))
	assert.False(t, s.matches(row("", email, ticket), schematype.OTPSignIn, code))
	both := &Service{cfg: Config{Keys: NewKeys(first, first)}}
	stored := row(mac(first, schematype.OTPSignIn, email, ticket, code), email, ticket)
	assert.True(t, both.matches(stored, schematype.OTPSignIn, code), "a key given twice")
}

func TestTicketOfARegistrationIsAnHMACOverTheAccount(t *testing.T) {
	t.Parallel()
	first, second := bytes.Repeat([]byte("1"), 32), bytes.Repeat([]byte("2"), 32)
	created := time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC)
	ada := &graph.Account{ID: 42, CreatedAt: created}
	h := hmac.New(sha256.New, first)
	h.Write([]byte("registration\x0042\x001893553445678901"))
	ticket := registrationTicket(first, ada)
	assert.Equal(t, base64.RawURLEncoding.EncodeToString(h.Sum(nil)), ticket.Reveal())

	clock := func() time.Time { return created }
	s := &Service{cfg: Config{Keys: NewKeys(second, first), Clock: clock}}
	assert.True(t, s.isRegistration(ticket, ada))
	assert.False(t, s.isRegistration(ticket, &graph.Account{ID: 43, CreatedAt: created}))
	assert.False(t, s.isRegistration(ticket, &graph.Account{ID: 42, CreatedAt: created.Add(time.Microsecond)}))
	assert.False(t, s.isRegistration(Token{}, ada))
	assert.False(t, (&Service{cfg: Config{Keys: NewKeys(second), Clock: clock}}).isRegistration(ticket, ada))
}

func codes(length int, random io.Reader) *Service {
	return &Service{cfg: Config{OTP: OTPPolicy{Length: length}, Random: random}}
}

func TestCodesAreUniform(t *testing.T) {
	t.Parallel()
	const draws = 200_000
	s := codes(6, rand.NewChaCha8([32]byte([]byte("the seed of the draws of codes.."))))
	var digits [6][10]int
	var ranges [100]int
	for range draws {
		code, err := s.newCode()
		require.NoError(t, err)
		require.Len(t, code.Reveal(), 6)
		var n int
		for i, digit := range code.Reveal() {
			require.True(t, digit >= '0' && digit <= '9')
			digits[i][digit-'0']++
			n = 10*n + int(digit-'0')
		}
		ranges[n/10_000]++
	}
	// The values that chance exceeds once in a thousand, for 9 and 99 degrees of freedom.
	for i := range digits {
		assert.Less(t, chiSquare(digits[i][:]), 27.88, "digit %d", i)
	}
	assert.Less(t, chiSquare(ranges[:]), 148.23)
}

func chiSquare(counts []int) (sum float64) {
	total := 0
	for _, n := range counts {
		total += n
	}
	expected := float64(total) / float64(len(counts))
	for _, n := range counts {
		d := float64(n) - expected
		sum += d * d / expected
	}
	return sum
}

func TestCodeKeepsItsLeadingZeros(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]string{4: "0042", 6: "000042", 9: "000000042", 18: "000000000000000042"} {
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(length)), nil)
		drawn := make([]byte, (limit.BitLen()+7)/8)
		drawn[len(drawn)-1] = 42
		code, err := codes(length, bytes.NewReader(drawn)).newCode()
		require.NoError(t, err)
		assert.Equal(t, want, code.Reveal())
	}
}

func TestDrawBeyondTheLimitIsRejectedAndNotFolded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		drawn string
		want  string
	}{
		{"0f423f", "999999"},
		{"0f4240" + "00002a", "000042"},
		{"ffffff" + "0fffff" + "0f423e", "999998"},
		{"f00001", "000001"}, // the bits above the limit's are not looked at
	} {
		drawn, err := hex.DecodeString(test.drawn)
		require.NoError(t, err)
		random := bytes.NewReader(drawn)
		code, err := codes(6, random).newCode()
		require.NoError(t, err)
		assert.Equal(t, test.want, code.Reveal(), test.drawn)
		assert.Zero(t, random.Len())
	}
}

func TestRandomnessThatFailsGivesNoSecret(t *testing.T) {
	t.Parallel()
	for name, random := range map[string]func() io.Reader{
		"error": func() io.Reader { return iotest.ErrReader(fmt.Errorf("no entropy")) },
		"empty": func() io.Reader { return bytes.NewReader(nil) },
		"short": func() io.Reader { return bytes.NewReader([]byte{1, 2}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, err := codes(6, random()).newCode()
			assert.Error(t, err)
			assert.Empty(t, code.Reveal())
			token, err := codes(6, random()).newToken()
			assert.Error(t, err)
			assert.Empty(t, token.Reveal())
		})
	}
	one, err := codes(6, iotest.OneByteReader(bytes.NewReader([]byte{0, 0, 7}))).newCode()
	require.NoError(t, err)
	assert.Equal(t, "000007", one.Reveal(), "a reader may give less than it is asked for")
}

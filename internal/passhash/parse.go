package passhash

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// maxLength is the length of the column that hashes are stored in.
const maxLength = 255

// minKey is the least length of a key in bytes. Every password matches an empty one.
const minKey = 16

// Parse reads a stored hash. It is false for what is none of these, and for parameters that their algorithm refuses:
//
//	$argon2id$v=19$m=65536,t=3,p=4$SALT$KEY         PHC; parameters in any order; argon2i too
//	argon2$argon2id$v=19$…                          Django
//	$2b$12$…                                        bcrypt; 2a and 2y too
//	bcrypt$$2b$12$…   bcrypt_sha256$$2b$12$…        Django
//	$scrypt$ln=16,r=8,p=1$SALT$KEY                  PHC, passlib
//	scrypt$16384$SALT$8$1$KEY                       Django
//	SALT:KEY                                        Better Auth: scrypt, in hex
//	$pbkdf2-sha256$29000$SALT$KEY                   passlib; $pbkdf2$ is SHA-1; sha512 too
//	$pbkdf2-sha256$i=600000,l=32$SALT$KEY           PHC
//	pbkdf2_sha256$260000$SALT$KEY                   Django; sha1 and sha512 too
func Parse(s string) (Hash, bool) {
	if len(s) > maxLength {
		return Hash{}, false
	}
	for _, f := range forms {
		if m := f.pattern.FindStringSubmatch(s); m != nil {
			return f.read(m[1:])
		}
	}
	return Hash{}, false
}

// forms are the spellings, no two of which match one text. What the groups of a pattern matched is given to read.
var forms = []struct {
	pattern *regexp.Regexp
	read    func(field []string) (Hash, bool)
}{
	{regexp.MustCompile(`^(?:argon2)?\$(argon2id?)\$v=19\$([^$]+)\$([^$]+)\$([^$]+)$`), readArgon2},
	{regexp.MustCompile(`^(?:(bcrypt|bcrypt_sha256)\$)?(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53})$`), readBcrypt},
	{regexp.MustCompile(`^\$scrypt\$([^$]+)\$([^$]+)\$([^$]+)$`), readScrypt},
	{regexp.MustCompile(`^scrypt\$(\d+)\$([^$]+)\$(\d+)\$(\d+)\$([^$]+)$`), readDjangoScrypt},
	{regexp.MustCompile(`^([0-9a-f]{32}):([0-9a-f]{128})$`), readBetterAuth},
	{regexp.MustCompile(`^\$pbkdf2-?(|sha1|sha256|sha512)\$(?:i=)?(\d+)(?:,l=\d+)?\$([^$]+)\$([^$]+)$`), readPBKDF2},
	{regexp.MustCompile(`^pbkdf2_(sha1|sha256|sha512)\$(\d+)\$([^$]+)\$([^$]+)$`), readDjangoPBKDF2},
}

func readArgon2(field []string) (Hash, bool) {
	kind := Kind(field[0])
	n, ok := numbers(field[1], "m", "t", "p")
	salt, saltOK := decode(field[2])
	key, keyOK := decode(field[3])
	// RFC 9106, 3.1. The implementation panics without passes or lanes.
	if !ok || !saltOK || !keyOK || len(key) < minKey || n[1] < 1 || n[2] < 1 || n[2] > 255 || n[0] < 8*n[2] {
		return Hash{}, false
	}
	p := Argon2Params{Memory: n[0], Passes: n[1], Lanes: uint8(n[2]), KeyLength: len(key)}
	derive := argon2.IDKey
	if kind == Argon2i {
		derive = argon2.Key
	}
	return Hash{
		Kind: kind, Memory: int(p.Memory), Work: uint64(p.Memory) * uint64(p.Passes), Params: p,
		matches: func(password string) bool {
			return equal(key, derive([]byte(password), salt, p.Passes, p.Memory, p.Lanes, uint32(len(key))))
		},
	}, true
}

func readBcrypt(field []string) (Hash, bool) {
	cost, err := strconv.Atoi(field[2])
	if err != nil || cost < bcrypt.MinCost || cost > bcrypt.MaxCost {
		return Hash{}, false
	}
	crypt := []byte(field[1])
	h := Hash{Kind: Bcrypt, Memory: 4, Work: 1 << cost, matches: func(password string) bool {
		return bcrypt.CompareHashAndPassword(crypt, []byte(password)) == nil
	}}
	if field[0] == string(BcryptSHA256) {
		direct := h.matches
		h.Kind, h.matches = BcryptSHA256, func(password string) bool {
			sum := sha256.Sum256([]byte(password))
			return direct(hex.EncodeToString(sum[:]))
		}
	}
	return h, true
}

func readScrypt(field []string) (Hash, bool) {
	n, ok := numbers(field[0], "ln", "r", "p")
	salt, saltOK := decode(field[1])
	key, keyOK := decode(field[2])
	if !ok || !saltOK || !keyOK || n[0] > 31 {
		return Hash{}, false
	}
	return scryptHash(1<<n[0], n[1], n[2], salt, key)
}

func readDjangoScrypt(field []string) (Hash, bool) {
	n, ok := numbers("n="+field[0]+",r="+field[2]+",p="+field[3], "n", "r", "p")
	key, keyOK := decode(field[4])
	if !ok || !keyOK {
		return Hash{}, false
	}
	return scryptHash(n[0], n[1], n[2], []byte(field[1]), key)
}

// readBetterAuth takes the text of the salt for the salt, as Better Auth does.
func readBetterAuth(field []string) (Hash, bool) {
	key, err := hex.DecodeString(field[1])
	if err != nil {
		return Hash{}, false
	}
	return scryptHash(16384, 16, 1, []byte(field[0]), key)
}

func scryptHash(n, r, p uint32, salt, key []byte) (Hash, bool) {
	// RFC 7914, section 2, and so that neither product below overflows.
	const most = 1 << 16
	if n < 2 || n&(n-1) != 0 || r < 1 || r > most || p < 1 || p > most || len(key) < minKey {
		return Hash{}, false
	}
	memory := (uint64(n)*uint64(r) + uint64(p)*uint64(r)) / 8 // in KiB, of 128 bytes
	return Hash{
		Kind: Scrypt, Memory: int(memory), Work: memory * uint64(p),
		matches: func(password string) bool {
			got, err := scrypt.Key([]byte(password), salt, int(n), int(r), int(p), len(key))
			return err == nil && equal(key, got)
		},
	}, true
}

func readPBKDF2(field []string) (Hash, bool) {
	salt, ok := decode(field[2])
	if !ok {
		return Hash{}, false
	}
	return pbkdf2Hash(field[0], field[1], salt, field[3])
}

func readDjangoPBKDF2(field []string) (Hash, bool) {
	return pbkdf2Hash(field[0], field[1], []byte(field[2]), field[3])
}

func pbkdf2Hash(name, iterations string, salt []byte, encoded string) (Hash, bool) {
	digest, size := sha1.New, sha1.Size
	switch name {
	case "sha256":
		digest, size = sha256.New, sha256.Size
	case "sha512":
		digest, size = sha512.New, sha512.Size
	}
	n, err := strconv.ParseUint(iterations, 10, 31)
	key, ok := decode(encoded)
	if err != nil || n < 1 || !ok || len(key) < minKey {
		return Hash{}, false
	}
	blocks := (len(key) + size - 1) / size
	return Hash{
		Kind: PBKDF2, Memory: 1, Work: n * uint64(blocks),
		matches: func(password string) bool {
			got, err := pbkdf2.Key(digest, password, salt, int(n), len(key))
			return err == nil && equal(key, got)
		},
	}, true
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// numbers reads parameters such as m=65536,t=3,p=4, which the npm package argon2 writes in another order than the rest.
// Each of the names has to be there once, and no other.
func numbers(s string, names ...string) (values []uint32, ok bool) {
	values = make([]uint32, len(names))
	seen := 0
	for param := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(param, "=")
		for i, want := range names {
			if name != want || values[i] != 0 {
				continue
			}
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil || n == 0 {
				return nil, false
			}
			values[i] = uint32(n)
			seen++
		}
	}
	return values, seen == len(names) && strings.Count(s, ",") == len(names)-1
}

// decode reads Base64 with or without padding, in the standard alphabet or in passlib's, which has . for +.
func decode(s string) ([]byte, bool) {
	s = strings.ReplaceAll(strings.TrimRight(s, "="), ".", "+")
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	return b, err == nil
}

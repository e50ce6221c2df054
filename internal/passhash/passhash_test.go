package passhash_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"github.com/authgraph/authgraph/internal/passhash"
)

const (
	staple = "correct horse battery staple"
	// zurich is what a keyboard sent that decomposes: a combining diaeresis, and a ligature.
	zurich = "Zu\u0308rich \ufb01sh und Caf\u00e9!"
	django = "l\u00e8tmein"
	// pepper is that of the Devise vector.
	pepper = "8f6c1e2b8f6c1e2b8f6c1e2b8f6c1e2b8f6c1e2b8f6c1e2b8f6c1e2b8f6c1e2b" +
		"8f6c1e2b8f6c1e2b8f6c1e2b8f6c1e2b8f6c1e2b8f6c1e2b8f6c1e2b8f6c1e2b"
)

// vectors are hashes that the named program made.
var vectors = []struct {
	from     string
	kind     passhash.Kind
	password string
	hash     string
}{
	{"npm bcryptjs 3.0.3", passhash.Bcrypt, staple,
		"$2b$12$W/JqyjVI9b7lZP.gI6ZyzeB1ACRdEsJITvkd9iOOb12/BbsVoIuJy"},
	{"npm bcryptjs 3.0.3", passhash.Bcrypt, zurich,
		"$2b$04$Nw46IhxT/axfR4M8OrnR2ON91pDwffiz8X3O2AF4AC1zwFBkQ3y4m"},
	{"npm bcryptjs 3.0.3, beyond 72 bytes", passhash.Bcrypt, strings.Repeat("x", 72) + "the tail",
		"$2b$04$CkRhXRP2Ym3Scn0Ho2WjyuC20/a8Ov71SyyNeLS6kes6jiKYu0DqG"},
	{"passlib 1.7.4", passhash.Bcrypt, staple,
		"$2a$05$5bG9aVJlEUsb8UiQxNUyIeo7v.rqRbWjr8DytKviH5xe/7yPFNICK"},
	{"PHP 8.2 password_hash, as Laravel calls it", passhash.Bcrypt, staple,
		"$2y$05$QAVGFZHO178Ffv7hkXQTDOz/YKkt4RK9CiYI3X/UOMHik17QrojX6"},
	{"Devise 4.8.1", passhash.Bcrypt, staple,
		"$2a$05$UPjryZbo4RbfWcEgsVP.Y.W2QNJsIR5Slj0YkQ7CHHYvUtYLcwoH."},
	{"Devise 4.8.1, with a pepper", passhash.Bcrypt, staple + pepper,
		"$2a$05$jipDv7el6PrnbJNlOz1GruzwOrmUeYfuG83FTh0WekALt9q45uteK"},
	{"Django 3.2.25", passhash.Bcrypt, staple,
		"bcrypt$$2b$05$BwrnSRQGAqUDApv8r8omCu.uLXf9WdMSIugERN5hul72y99JPQAIG"},
	{"Django 3.2.25", passhash.BcryptSHA256, staple,
		"bcrypt_sha256$$2b$05$KaxRQdV.FgvIVCOIkyfvf.hjItR1vimgQ3ndFXWaXChsTHArldUjG"},

	{"npm argon2 0.45.1", passhash.Argon2id, staple,
		"$argon2id$v=19$m=65536,p=4,t=3$VZxp0MNtowEpOB+Sm5j/JA$MmOA6BKGjsVAiB/BAK3cQHZ8spTNbBbf0YAfrRuWy50"},
	{"npm argon2 0.45.1", passhash.Argon2id, zurich,
		"$argon2id$v=19$m=1024,p=4,t=3$4O74rxzrAVdXU4HzdwaboA$DNMi4SpLIdM64JveyoTtSfbDWOD8ah3r4/hVFop6o84"},
	{"npm argon2 0.45.1", passhash.Argon2i, staple,
		"$argon2i$v=19$m=1024,p=4,t=3$1eNzTFJYcoKPFIKa58uX/Q$QgmFQFqnlEBP5jKo5ykXY4l8FirzdwhYxa47XKWX2rI"},
	{"Django 3.2.25", passhash.Argon2id, staple,
		"argon2$argon2id$v=19$m=102400,t=2,p=8$cUlLS3c1ekNxMkJXRnVBdUZGUFJtRw$Q2bdab8/oE4MfAy4f1aGSw"},
	{"passlib 1.7.4", passhash.Argon2i, staple,
		"$argon2i$v=19$m=1024,t=2,p=8$dQ5ByLmXMkbI+b/3vte61w$rXMMLP9C3SXQHEHEpQZxpA"},
	{"phc-winner-argon2, src/test.c", passhash.Argon2i, "password",
		"$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"},

	{"npm better-auth 1.7.25", passhash.Scrypt, staple,
		"0c9d5662956a8320b92bed0ec5005f4f:09f07802e76f59f25e99e2442057608589a28552798f61d2de6729e47a226abb" +
			"e1142eeb48f89657627d865e40ed97d206cc9be9a04ed82b563073867b023ff0"},
	{"npm better-auth 1.7.25, which normalises", passhash.Scrypt, norm.NFKC.String(zurich),
		"0a46e5a566f4d6295a6e97e446697a59:a8dde07ae307e16550a0405fd7568ecfeefc843f10fb6d33206c647fa7014871" +
			"194995fc8f9aef6ce5f16e6c7305bed5303faa773141eb8742cd14d852e427ec"},
	{"passlib 1.7.4", passhash.Scrypt, staple,
		"$scrypt$ln=16,r=8,p=1$DQFAiPHeu7cWQkiptdaaEw$dhGEfpL3pNbfrPZjCI9QLt5RJRff6e7h+xc0jbz6aaA"},
	{"passlib 1.7.4", passhash.Scrypt, staple,
		"$scrypt$ln=10,r=8,p=2$JsS415pzzlnLOQeAMGZsTQ$aX54UxBgJIy/p07gYzNr0SsgWexHa0YzD29bY+DDnKQ"},
	{"Django, tests/auth_tests/test_hashers.py", passhash.Scrypt, django,
		"scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7" +
			"rQwite/Pw=="},

	{"Django 3.2.25", passhash.PBKDF2, staple,
		"pbkdf2_sha256$260000$wcSvWPfD42AVv1BERyPEan$URw7uZvgdGMBZRJA0iNAANcoVt1nv2RTBxA5zL612wc="},
	{"Django, tests/auth_tests/test_hashers.py", passhash.PBKDF2, django,
		"pbkdf2_sha256$390000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c="},
	{"Django 3.2.25", passhash.PBKDF2, staple,
		"pbkdf2_sha1$260000$4pdEqx8aR8QBz5S6P6o5TB$3eHaZ2+5kuAxXggol5xvOuybA6g="},
	{"Python's hashlib, in Django's form", passhash.PBKDF2, staple,
		"pbkdf2_sha512$1000$seasalt$" +
			"jWXPByTp9f8LiYihsQ0KCsxvT4E+VwKzo2kPET/kO6xN+98njZwsGTVcuE5pJ7+CnEhEWyYcAf4OK7gd6gVBGA=="},
	{"passlib 1.7.4", passhash.PBKDF2, staple,
		"$pbkdf2$131000$rrXWWktpLSVEKGVMyXlPSQ$qZHRf8q24oU9om5p4giCNY/.eOA"},
	{"passlib 1.7.4", passhash.PBKDF2, staple,
		"$pbkdf2-sha256$29000$GyOEMCYEAACAEIIwxnivdQ$KieNSHDRsJPnjb/21QJ7Dt1/HxLdvo1VyY2QvFza8Gk"},
	{"passlib 1.7.4", passhash.PBKDF2, staple,
		"$pbkdf2-sha512$25000$791bK4XwnrMWAqDUeo/R.g$JmbUy0C2FF.n1ocZdpObkUflzJQQcbLIQworuX0xJ9e8bbLELopyy19KqZUYuV0V" +
			"YIX4vP9xSa9a.LYn.HGI/Q"},
	{"Python's hashlib, in PHC's form", passhash.PBKDF2, staple,
		"$pbkdf2-sha256$i=1000,l=32$c2Vhc2FsdA$3xmXbyk2QpiyNcnoBbzRPwEBsYPTbDlRdtmLyBvQltA"},
	{"Python's hashlib, in PHC's form", passhash.PBKDF2, staple,
		"$pbkdf2-sha1$i=1000$c2Vhc2FsdA$9iRYj0as1r5j+cCBxB+HMlxkyr4"},
}

func TestAHashOfAnotherSystemMatchesItsPasswordAndNoOther(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.from+" "+string(v.kind), func(t *testing.T) {
			t.Parallel()
			h, ok := passhash.Parse(v.hash)
			require.True(t, ok)
			assert.Equal(t, v.kind, h.Kind)
			assert.True(t, h.Affordable())
			assert.Positive(t, h.Memory)
			assert.True(t, h.Matches(v.password))
			assert.False(t, h.Matches("y"+v.password))
		})
	}
}

// Every password matches an empty key, and the implementations panic or never end on some parameters.
func TestWhatIsNoHashIsNotRead(t *testing.T) {
	t.Parallel()
	const salt, key = "c2Vhc2FsdA", "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"
	bcrypted := strings.Repeat("a", 53)
	for _, s := range []string{
		"", "password", "$", ":", "!1my2B8OEnr82YVcz8ETzzwYspdMDioinf7xmPCei",
		// Of kinds that are not read.
		"5f4dcc3b5aa765d61d8327deb882cf99", "sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8",
		"$argon2d$v=19$m=64,t=1,p=1$" + salt + "$" + key, "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + key,
		"$argon2id$m=64,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=1,p=1,data=eA$" + salt + "$" + key,
		"$bcrypt-sha256$v=2,t=2b,r=12$LKTuwSGaYavs1HJnJ4FDyO$HLxS9oT42CCVWqfTScl8SjB1QqjPjyy",
		"$2x$12$" + bcrypted, "$2$12$" + bcrypted, "$1$12$" + bcrypted,
		// With parameters that are none.
		"$argon2id$v=19$m=64,t=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=1,t=1$" + salt + "$" + key,
		"$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=1,p=0$" + salt + "$" + key,
		"$argon2id$v=19$m=8192,t=1,p=256$" + salt + "$" + key, "$argon2id$v=19$m=15,t=1,p=2$" + salt + "$" + key,
		"$argon2id$v=19$m=-64,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=4294967296,t=1,p=1$" + salt + "$" + key,
		"$2b$03$" + bcrypted, "$2b$32$" + bcrypted, "$2b$5$" + bcrypted, "$2b$12$" + bcrypted + "a",
		"$scrypt$ln=0,r=8,p=1$" + salt + "$" + key, "$scrypt$ln=32,r=8,p=1$" + salt + "$" + key,
		"$scrypt$ln=4,r=0,p=1$" + salt + "$" + key, "scrypt$1000$seasalt$8$1$" + key, "scrypt$1$seasalt$8$1$" + key,
		"scrypt$1024$seasalt$65537$1$" + key, "scrypt$1024$seasalt$8$65537$" + key,
		"pbkdf2_sha256$0$seasalt$" + key, "pbkdf2_sha256$2147483648$seasalt$" + key,
		"pbkdf2_md5$1000$seasalt$" + key,
		// Without a whole key.
		"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AAAA",
		"$scrypt$ln=4,r=8,p=1$" + salt + "$AAAA", "scrypt$1024$seasalt$8$1$AAAA", "pbkdf2_sha256$1000$seasalt$AAAA",
		"pbkdf2_sha256$1000$seasalt$====", "$argon2id$v=19$m=64,t=1,p=1$!$" + key,
		"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$!" + key,
		strings.Repeat("0", 32) + ":" + strings.Repeat("0", 126),
		// Longer than the column.
		"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + strings.Repeat("A", 256),
	} {
		_, ok := passhash.Parse(s)
		assert.False(t, ok, s)
	}
}

func TestAHashBeyondTheBoundsIsNotAffordable(t *testing.T) {
	t.Parallel()
	const salt, key = "c2Vhc2FsdA", "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"
	bcrypted, long := strings.Repeat("a", 53), strings.Repeat("A", 172) // 129 bytes, in five blocks of SHA-256
	for within, beyond := range map[string]string{
		"$argon2id$v=19$m=1048576,t=4,p=1$" + salt + "$" + key: "$argon2id$v=19$m=1048577,t=4,p=1$" + salt + "$" + key,
		"$argon2i$v=19$m=1048576,t=4,p=1$" + salt + "$" + key:  "$argon2i$v=19$m=1048576,t=5,p=1$" + salt + "$" + key,
		"$2b$15$" + bcrypted:                        "$2b$16$" + bcrypted,
		"bcrypt_sha256$$2b$15$" + bcrypted:          "bcrypt_sha256$$2b$31$" + bcrypted,
		"$scrypt$ln=19,r=8,p=1$" + salt + "$" + key: "$scrypt$ln=19,r=8,p=3$" + salt + "$" + key,
		"pbkdf2_sha256$4000000$seasalt$" + key:      "pbkdf2_sha256$4000001$seasalt$" + key,
		"pbkdf2_sha256$800000$seasalt$" + long:      "pbkdf2_sha256$800001$seasalt$" + long,
	} {
		h, ok := passhash.Parse(within)
		require.True(t, ok, within)
		assert.True(t, h.Affordable(), within)
		h, ok = passhash.Parse(beyond)
		require.True(t, ok, beyond)
		assert.False(t, h.Affordable(), beyond)
	}
}

// FuzzParse looks for texts that are read, and then panic, match anything, or cost more than they said.
func FuzzParse(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.hash)
	}
	cheap := map[passhash.Kind]uint64{
		passhash.Argon2id: 4 << 10, passhash.Argon2i: 4 << 10, passhash.Scrypt: 4 << 10,
		passhash.Bcrypt: 16, passhash.BcryptSHA256: 16, passhash.PBKDF2: 1000,
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, ok := passhash.Parse(s)
		if !ok {
			return
		}
		require.LessOrEqual(t, len(s), 255)
		require.Positive(t, h.Memory)
		require.NotZero(t, cheap[h.Kind])
		if h.Work <= cheap[h.Kind] {
			require.False(t, h.Matches("no vector is of this"), s)
		}
	})
}

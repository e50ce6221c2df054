package schematype

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestNormalizeEmail(t *testing.T) {
	for _, c := range []struct{ name, typed, stored string }{
		{"as it is", "ada@example.com", "ada@example.com"},
		{"capitals", "Ada@Example.COM", "ada@example.com"},
		{"white space around", " \t\r\nada@example.com\u00a0\u3000", "ada@example.com"},
		{"white space inside stays, to be refused", "a da@example.com", "a da@example.com"},
		{"composed", "Jose\u0301@example.com", "jos\u00e9@example.com"},
		{"capitals beyond ASCII", "JOSÉ@EXÄMPLE.COM", "josé@exämple.com"},
		{"an accent is kept", "josé@example.com", "josé@example.com"},
		{"compatibility characters are kept", "ﬁ@example.com", "ﬁ@example.com"},
		{"the sign of Kelvin is a K", "\u212a@example.com", "k@example.com"},
		{"a dotted capital is no plain i", "\u0130van@example.com", "i\u0307van@example.com"},
		{"a dotted capital in two runes", "I\u0307van@example.com", "i\u0307van@example.com"},
		{"a dotless small letter is no plain i", "\u0131van@example.com", "\u0131van@example.com"},
		{"final sigma has one form in each place", "ΟΔΟΣ@example.com", "οδοσ@example.com"},
		{"not UTF-8 stays, to be refused", " A\xff@example.com", " A\xff@example.com"},
		{"nothing", " ", ""},
	} {
		assert.Equal(t, c.stored, NormalizeEmail(c.typed), c.name)
	}
}

func TestValidateEmail(t *testing.T) {
	for _, ok := range []string{
		"a@b", "ada@example.com", "ada+tag@example.com", "\"a@b\"@example.com", "josé@exämple.com",
		"用户@例子.广告", "ada@[192.0.2.1]",
		strings.Repeat("é", MaxEmailLen-2) + "@b",
	} {
		assert.NoError(t, ValidateEmail(ok), ok)
	}
	for _, wrong := range []string{
		"", "@", "ada", "@example.com", "ada@", "a da@example.com", "ada@example.com\n", "a\x00@example.com",
		"a\u0085@b", "a\u2028@b", "a\xff@example.com",
		strings.Repeat("é", MaxEmailLen-1) + "@b",
	} {
		err := ValidateEmail(wrong)
		if assert.Error(t, err, "%q", wrong) && len(wrong) > 1 {
			assert.NotContains(t, err.Error(), wrong, "an address is not written into logs")
		}
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, seed := range []string{"Ada@Example.com", " JOSE\u0301@x.com ", "\u0130\u0323@x", "\u212b@\u2126", "\xff",
		"ΑΣ", "\u1e9e", "a\u0345\u0301", "\u0958"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		once := NormalizeEmail(typed)
		if twice := NormalizeEmail(once); twice != once {
			t.Fatalf("%q: first %q, then %q", typed, once, twice)
		}
		if !utf8.ValidString(typed) {
			if once != typed {
				t.Fatalf("%q is not UTF-8 and became %q", typed, once)
			}
			return
		}
		if !utf8.ValidString(once) {
			t.Fatalf("%q became %q", typed, once)
		}
		if strings.TrimSpace(once) != once {
			t.Fatalf("%q keeps white space: %q", typed, once)
		}
		if lower := strings.ToLower(once); lower != once {
			t.Fatalf("%q keeps capitals: %q", typed, once)
		}
		if !strings.ContainsRune(typed, '\u0130') && !strings.Contains(typed, "I\u0307") {
			if other := NormalizeEmail(strings.ToLower(typed)); other != once {
				t.Fatalf("%q: %q, but in lower case %q", typed, once, other)
			}
		}
		if padded := NormalizeEmail("\t" + typed + " \n"); padded != once {
			t.Fatalf("%q: %q, but with white space around it %q", typed, once, padded)
		}
	})
}

package schematype

import (
	"net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNormalizeEmail(t *testing.T) {
	for _, c := range []struct{ name, typed, stored string }{
		{"as it is", "ada@example.com", "ada@example.com"},
		{"capitals", "Ada@Example.COM", "ada@example.com"},
		{"white space around", " \t\r\nada@example.com\u00a0\u3000", "ada@example.com"},
		{"a byte order mark around", "\ufeffada@example.com\ufeff", "ada@example.com"},
		{"a next line stays, to be refused", "ada@example.com\u0085", "ada@example.com\u0085"},
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

// legal are addresses of one mailbox each.
var legal = []string{
	"a@b", "ada@example.com", "ada+tag@example.com", "o'hara/sales=x@sub.example.co.uk",
	"!#$%&'*+-/=?^_`{|}~@example.com",
	`"a@b"@example.com`, `"a b"@example.com`, `"a,b;<c>"@example.com`, `"a..b"@example.com`, `".a"@example.com`,
	`"\\ \""@example.com`,
	"josé@exämple.com", "用户@例子.广告", "ida@faß.de", "aliki@ναυς.gr", "jordi@paral·lel.cat", "مثال@مثال.إختبار",
	"i\u0307@x.com",
	"post@münchen-ost.de", "a@xn--exmple-cua.com", "a@3---b.com", "a@1.2",
	"ada@[192.0.2.1]", "ada@[ipv6:2001:db8::1]",
	strings.Repeat("é", MaxEmailLen-2) + "@b", "a@" + strings.Repeat("b", 63) + ".com",
}

func TestAnAddressOfOneMailboxIsTaken(t *testing.T) {
	for _, address := range legal {
		assert.NoError(t, ValidateEmail(address), address)
	}
}

// Another parser, of what stands in the head of a message, reads what is taken as one address: the same.
func TestAnAddressIsOneAddressToAMailer(t *testing.T) {
	for _, address := range legal {
		if strings.Contains(address, "@[") {
			continue // net/mail knows no IPv6: in lower case
		}
		assertOneMailbox(t, address)
	}
}

func assertOneMailbox(t *testing.T, address string) {
	t.Helper()
	list, err := mail.ParseAddressList(address)
	require.NoError(t, err, "%q", address)
	require.Len(t, list, 1, "%q", address)
	assert.Equal(t, &mail.Address{Address: unquoted(address)}, list[0], "%q", address)
}

// unquoted is the address as net/mail keeps it.
func unquoted(address string) string {
	at := strings.LastIndexByte(address, '@')
	if inner := quoted.FindStringSubmatch(address[:at]); inner != nil {
		return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(inner[1]) + address[at:]
	}
	return address
}

func TestWhatIsNotOneMailboxIsRefused(t *testing.T) {
	for wrong, with := range map[string]string{
		"":                       "no @",
		"ada":                    "no @",
		"@":                      "nothing before the @",
		"@example.com":           "nothing before the @",
		".ada@example.com":       "nothing before the @ or beside a dot",
		"ada.@example.com":       "nothing before the @ or beside a dot",
		"a..b@example.com":       "nothing before the @ or beside a dot",
		"ada@":                   "nothing after the @",
		"ada@example.com.":       "nothing after the @ or beside a dot",
		"ada@.example.com":       "nothing after the @ or beside a dot",
		"ada@example..com":       "nothing after the @ or beside a dot",
		"a@evil,x@corp":          "'@' before its last @",
		"a,b@c":                  "',' before its last @",
		"a@b@c":                  "'@' before its last @",
		"a@evil>,<x@corp":        "'@' before its last @",
		"<ada@example.com>":      "'<' before its last @",
		"ada<ada@example.com":    "'<' before its last @",
		"ada <ada@example.com>":  "' ' before its last @",
		"ada;eve@example.com":    "';' before its last @",
		"ada:eve@example.com":    "':' before its last @",
		"ada(eve)@example.com":   "'(' before its last @",
		"a da@example.com":       "' ' before its last @",
		`a\da@example.com`:       `'\\' before its last @`,
		`"ada@example.com`:       `'"' before its last @`,
		`"a"b"@example.com`:      `'"' before its last @`,
		`"a\"@example.com`:       `'"' before its last @`,
		`"a".b@example.com`:      `'"' before its last @`,
		`""@example.com`:         `'"' before its last @`,
		`"ada"@example.com`:      "quotes that it does not need",
		`"\a da"@example.com`:    `'"' before its last @`,
		"a\uff20b@example.com":   "'@' before its last @", // each stands for a character that needs quotes
		"a\uff0cb@example.com":   "',' before its last @",
		"a\uff1cb@example.com":   "'<' before its last @",
		"a\u2024@example.com":    "beside a dot",
		"\"\uff02\"@example.com": `'"' before its last @`,
		"ada@example.com>":       "'>' in its domain",
		"ada@exa mple.com":       "' ' in its domain",
		"ada@a;b":                "';' in its domain",
		"ada@my_host.com":        "'_' in its domain",
		"ada@a\u3002b":           "'。' in its domain", // a dot to IDNA
		"ada@\uff41.com":         "'ａ' in its domain",
		"ada@i❤.ws":              "'❤' in its domain",
		"ada@-example.com":       "a hyphen",
		"ada@example-.com":       "a hyphen",
		"ada@\u0301x.com":        "a mark",
		"ada@" + strings.Repeat("b", 64) + ".com": "longer than 63",
		"ada@[192.0.2.1":                          "brackets",
		"ada@[192.0.2.1]x":                        "brackets",
		"ada@[192.0.2.256]":                       "brackets",
		"ada@[2001:db8::1]":                       "brackets",
		"ada@[ipv6:192.0.2.1]":                    "brackets",
		"ada@[ipv6:2001:db8:0::1]":                "brackets",
		"ada@[ipv6:fe80::1%eth0]":                 "brackets",
		"ada@[example.com]":                       "brackets",
		"ada@example.com\n":                       "U+000A",
		"ada@x.com\r\nbcc: eve@evil.com":          "U+000D",
		"\"a\r\nb\"@example.com":                  "U+000D",
		"\"a\tb\"@example.com":                    "U+0009",
		"a\x00@example.com":                       "U+0000",
		"a\u0085@b":                               "U+0085",
		"a\u2028@b":                               "U+2028",
		"a\u00a0b@example.com":                    "U+00A0",
		"a\u200bda@example.com":                   "U+200B", // zero width
		"a\u200dda@example.com":                   "U+200D",
		"a\u2060da@example.com":                   "U+2060",
		"\ufeffada@example.com":                   "U+FEFF",
		"a\u00adda@example.com":                   "U+00AD", // soft hyphen
		"a\u034fda@example.com":                   "U+034F", // invisible marks and letters
		"a\ufe0fda@example.com":                   "U+FE0F",
		"a\u115fda@example.com":                   "U+115F",
		"a\u3164da@example.com":                   "U+3164",
		"a\U000e0041da@example.com":               "U+E0041",
		"a\u202eda@example.com":                   "U+202E", // bidi
		"a\u2066da@example.com":                   "U+2066",
		"a\u200fda@example.com":                   "U+200F",
		"a\ue000da@example.com":                   "U+E000", // private, unassigned, lost
		"a\u0378da@example.com":                   "U+0378",
		"a\ufffdda@example.com":                   "U+FFFD",
		"Ada@example.com":                         "not normalised",
		"jose\u0301@example.com":                  "not normalised",
		"a\xff@example.com":                       "UTF-8",
		"a" + strings.Repeat("\u0323", 40) + "@b": "not normalised",
		strings.Repeat("é", MaxEmailLen-1) + "@b": "longer than 255",
	} {
		err := ValidateEmail(wrong)
		if assert.ErrorContains(t, err, with, "%q", wrong) && len(wrong) > 1 {
			assert.NotContains(t, err.Error(), wrong, "an address is not written into logs")
		}
	}
}

func FuzzValidateEmail(f *testing.F) {
	for _, address := range legal {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if ValidateEmail(address) == nil && !strings.Contains(address, "@[") {
			assertOneMailbox(t, address)
		}
	})
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
		if strings.TrimFunc(once, surrounds) != once {
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

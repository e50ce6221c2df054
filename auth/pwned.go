package auth

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// PwnedPasswords asks whether a password is known from breaches, by the range API of Have I Been Pwned:
//
//	auth.PasswordPolicy{Breached: auth.PwnedPasswords{}.Breached}
//
// The first 5 of the 40 hexadecimal digits of its SHA-1 leave this process, which some thousand known passwords share
// (k-anonymity). The answer is padded, so that its length does not tell them apart either.
type PwnedPasswords struct {
	// URL is what the 5 digits are appended to; default https://api.pwnedpasswords.com/range/. A mirror of your own
	// needs no internet.
	URL string
	// Client sends the request; default [http.DefaultClient].
	Client *http.Client
	// Timeout ends the request; default 2 seconds.
	Timeout time.Duration
}

// errNoRange is the answer of something else, such as the sign-in page of a network. Every range has lines.
var errNoRange = errors.New("the answer is no range of hashes")

// Breached is for PasswordPolicy.Breached. The error holds neither the password nor its hash.
func (p PwnedPasswords) Breached(ctx context.Context, password string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.Timeout, 2*time.Second))
	defer cancel()
	sum := sha1.Sum([]byte(password))
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	known, err := p.ask(ctx, digits[:5], digits[5:])
	var sent *url.Error
	if errors.As(err, &sent) {
		err = sent.Err // without the URL
	}
	if err != nil {
		return false, fmt.Errorf("ask which passwords are breached: %w", err)
	}
	return known, nil
}

// ask reports whether the lines of a range hold the rest of a hash. Those of padding have a count of 0.
func (p PwnedPasswords) ask(ctx context.Context, prefix, rest string) (bool, error) {
	address := cmp.Or(p.URL, "https://api.pwnedpasswords.com/range/") + prefix
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	request.Header.Set("Add-Padding", "true")
	request.Header.Set("User-Agent", "authgraph")
	answer, err := cmp.Or(p.Client, http.DefaultClient).Do(request)
	if err != nil {
		return false, err
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	if answer.StatusCode != http.StatusOK {
		return false, fmt.Errorf("the answer is %s", answer.Status)
	}
	const most = 1 << 20 // bytes; a range has some 40 KB
	lines := bufio.NewScanner(io.LimitReader(answer.Body, most))
	found := false
	for lines.Scan() {
		suffix, count, ok := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if !ok || len(suffix) != len(rest) {
			return false, errNoRange
		}
		if strings.EqualFold(suffix, rest) && count != "0" {
			return true, nil
		}
		found = true
	}
	if err := lines.Err(); err != nil || found {
		return false, err
	}
	return false, errNoRange
}

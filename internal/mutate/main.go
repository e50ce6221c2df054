// Command mutate takes the guards of package auth out, one at a time, and runs the test that must fail without it: a
// guard that nothing misses is not tested. The list is auth/mutations.txt.
//
//	go run ./internal/mutate            # all
//	go run ./internal/mutate useGrace   # those whose line holds a word
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const list = "auth/mutations.txt"

// mutation replaces text by with in a function. The test must then fail.
type mutation struct {
	file, function, text, with, test string
}

func main() {
	if err := run(context.Background(), strings.Join(os.Args[1:], " ")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) error {
	f, err := os.Open(list)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	survived, n := 0, 0
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		line := scanner.Text()
		if line == "" || strings.HasPrefix(line, "#") || !strings.Contains(line, only) {
			continue
		}
		m, err := parse(line)
		if err != nil {
			return err
		}
		killed, err := m.try(ctx)
		n++
		verdict := "killed  "
		if err != nil || !killed {
			survived++
			verdict = "SURVIVED"
		}
		fmt.Printf("%s %s\n", verdict, line)
		if err != nil {
			fmt.Printf("         %v\n", err)
		}
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	if survived > 0 {
		return fmt.Errorf("%d of %d mutations survived", survived, n)
	}
	return nil
}

func parse(line string) (mutation, error) {
	const or = "\x00" // Go's operator separates no fields
	var fields []string
	for field := range strings.SplitSeq(strings.ReplaceAll(line, "||", or), "|") {
		fields = append(fields, strings.ReplaceAll(strings.TrimSpace(field), or, "||"))
	}
	if len(fields) != 5 {
		return mutation{}, fmt.Errorf("%s: %q has %d fields, not file | function | text | with | test", list, line,
			len(fields))
	}
	return mutation{filepath.Join("auth", fields[0]), fields[1], fields[2], fields[3], fields[4]}, nil
}

// try reports whether the test fails once the mutation is made.
func (m mutation) try(ctx context.Context) (killed bool, err error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return false, err
	}
	mutant, err := m.apply(string(source))
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system clears what stays
	file, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	original, err := filepath.Abs(m.file)
	if err != nil {
		return false, err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: file}})
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(file, []byte(mutant), 0o600); err != nil {
		return false, err
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return false, err
	}
	pattern := "^" + strings.ReplaceAll(strings.ReplaceAll(m.test, " ", "_"), "/", "$/^") + "$"
	output, err := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=2m", "-overlay", overlay, "-run",
		pattern, "./auth").CombinedOutput()
	switch {
	case strings.Contains(string(output), "no tests to run"):
		return false, fmt.Errorf("there is no test %s", m.test)
	case err == nil:
		return false, nil
	case !strings.Contains(string(output), "--- FAIL: "):
		return false, fmt.Errorf("it does not run: %s", output)
	}
	return true, nil
}

func (m mutation) apply(source string) (string, error) {
	start := strings.Index(source, " "+m.function+"(")
	for start >= 0 && !strings.HasPrefix(source[strings.LastIndexByte(source[:start], '\n')+1:], "func ") {
		next := strings.Index(source[start+1:], " "+m.function+"(")
		if next < 0 {
			start = -1
			break
		}
		start += 1 + next
	}
	if start < 0 {
		return "", fmt.Errorf("there is no function %s", m.function)
	}
	body, rest := source[start:], ""
	if end := strings.Index(body, "\n}\n"); end >= 0 {
		body, rest = body[:end], body[end:]
	}
	if strings.Count(body, m.text) != 1 {
		return "", fmt.Errorf("it has %d times the text", strings.Count(body, m.text))
	}
	return source[:start] + strings.Replace(body, m.text, m.with, 1) + rest, nil
}

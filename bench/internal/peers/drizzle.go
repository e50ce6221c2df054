package peers

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const drizzleModule = "drizzle-orm"

//go:embed drizzle/*.json drizzle/*.mjs drizzle/*.ts
var drizzleFiles embed.FS

// DrizzleFolder is a folder with what package-lock.json pins installed, made once in the user's cache.
func DrizzleFolder(ctx context.Context, progress io.Writer) (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("drizzle is left out: %w", err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "authgraph", "bench", "drizzle")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	changed := false
	entries, err := drizzleFiles.ReadDir("drizzle")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		text, err := drizzleFiles.ReadFile("drizzle/" + e.Name())
		if err != nil {
			return "", err
		}
		path := filepath.Join(folder, e.Name())
		if old, err := os.ReadFile(path); err == nil && string(old) == string(text) {
			continue
		}
		changed = true
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", err
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "mysql2")); err == nil && !changed {
		return folder, nil
	}
	fmt.Fprintln(progress, "drizzle: npm ci …")
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("drizzle is left out: npm ci: %w\n%s", err, out)
	}
	return folder, nil
}

// Drizzle are the peers that run in Node, installed from the npm registry; an error where that cannot be.
func Drizzle(ctx context.Context, progress io.Writer) ([]Spec, error) {
	folder, err := DrizzleFolder(ctx, progress)
	if err != nil {
		return nil, err
	}
	open := func(mode string) func(context.Context, string, int) (Runner, error) {
		return func(ctx context.Context, url string, connections int) (Runner, error) {
			return startNode(ctx, folder, mode, url, connections, progress)
		}
	}
	return []Spec{
		{"Drizzle, prepare()", drizzleModule, open("prepared")},
		{"Drizzle as it comes", drizzleModule, open("plain")},
	}, nil
}

// node is a Node process that does what it is told on standard input, one line a round, and answers with one line.
type node struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startNode(ctx context.Context, folder, mode, url string, connections int, progress io.Writer) (_ *node,
	err error) {
	n := &node{cmd: exec.CommandContext(ctx, "node", "peer.mjs", mode, url, fmt.Sprint(connections))}
	n.cmd.Dir, n.cmd.Stderr = folder, progress
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	n.out = bufio.NewReader(out)
	return n, n.cmd.Start()
}

func (n *node) Has(op Op) bool { return op != SignIn }

func (n *node) Close() {
	_ = n.in.Close()
	_ = n.cmd.Wait()
}

func (n *node) Run(_ context.Context, op Op, keys []Key, workers int, limit time.Duration) (int, time.Duration, error) {
	line, err := json.Marshal(map[string]any{"op": op, "keys": keys, "workers": workers, "limit": limit.Milliseconds()})
	if err != nil {
		return 0, 0, err
	}
	if _, err := n.in.Write(append(line, '\n')); err != nil {
		return 0, 0, err
	}
	var answer struct {
		Done    int
		Elapsed float64 // milliseconds
		Next    []string
		Error   string
	}
	reply, err := n.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(reply, &answer)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("node: %w", err)
	}
	if answer.Error != "" {
		return 0, 0, errors.New(answer.Error)
	}
	for i, next := range answer.Next {
		keys[i].Next = next
	}
	return answer.Done, time.Duration(answer.Elapsed * float64(time.Millisecond)), nil
}

package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/authgraph/authgraph/bench/internal/measure"
	"github.com/authgraph/authgraph/bench/internal/peers"
	"github.com/authgraph/authgraph/bench/internal/report"
)

// The tools whose commands are timed.
const (
	toolOurs    = "authgraph"
	toolDrizzle = "drizzle-kit"
	toolAtlas   = "Atlas CLI"
)

// The tasks they are timed at.
const (
	taskStart   = "cold start: print the version"
	taskDiff    = "diff without changes"
	taskApply   = "first apply, on an empty database"
	taskPending = "apply with nothing pending"
	taskInspect = "inspect a database"
)

var tasks = []string{taskStart, taskDiff, taskApply, taskPending, taskInspect}

// migrationTargets are how long ours may take in terms of drizzle-kit's.
var migrationTargets = map[string]float64{taskDiff: 1, taskApply: 0.5}

// timed is a command that is run again and again.
type timed struct {
	tool, task string
	dir        string
	args       []string
	env        func(ctx context.Context) ([]string, error) // for each run anew
	// check looks, after a run, at what it left or said.
	check  func(output string) error
	ms     []float64
	versus []float64 // drizzle-kit's time in the same round
}

// migrations times the commands as they are installed.
func migrations(ctx context.Context, s *settings) error {
	work, err := os.MkdirTemp("", "authgraph-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	server, err := start(ctx, s, 0)
	if err != nil {
		return err
	}
	defer server.stop()
	commands, versions, err := server.timedCommands(ctx, s, work)
	if err != nil {
		return err
	}
	for round := range s.rounds + 1 {
		fmt.Fprintf(os.Stderr, "migrations: round %d of %d …\n", round+1, s.rounds+1)
		took := map[string]map[string]float64{}
		for _, i := range rand.Perm(len(commands)) {
			c := commands[i]
			ms, err := c.run(ctx)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.tool, c.task, err)
			}
			if took[c.task] == nil {
				took[c.task] = map[string]float64{}
			}
			took[c.task][c.tool] = ms
		}
		if round == 0 {
			continue // the file system's cache gets warm
		}
		for _, c := range commands {
			c.ms = append(c.ms, took[c.task][c.tool])
			if drizzle := took[c.task][toolDrizzle]; drizzle > 0 {
				c.versus = append(c.versus, took[c.task][c.tool]/drizzle)
			}
		}
	}
	generate, err := generation(ctx, 3)
	if err != nil {
		return err
	}
	setting, err := server.setting(ctx, s, append(goVersions(), versions...))
	if err != nil {
		return err
	}
	text := setting + migrationsReport(s, commands, generate)
	fmt.Println(text)
	return report.Section(s.doc, "migrations", text)
}

// run runs the command once and returns the milliseconds from its start to its end.
func (c *timed) run(ctx context.Context) (float64, error) {
	env, err := c.env(ctx)
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), append(env, "NO_COLOR=1", "ATLAS_NO_UPDATE_NOTIFIER=1")...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	if c.check != nil {
		err = c.check(string(out))
	}
	return float64(took.Microseconds()) / 1000, err
}

func (s *server) timedCommands(ctx context.Context, set *settings, work string) (commands []*timed, versions []string,
	err error) {
	binary := filepath.Join(work, "authgraph")
	if out, err := exec.CommandContext(ctx, "go", "build", "-C", "..", "-trimpath", "-o", binary,
		"./cmd/authgraph").CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	project := filepath.Join(work, "project")
	for _, folder := range []string{"migrate", "ent"} {
		if err := copySQL(filepath.Join("..", folder), filepath.Join(project, folder)); err != nil {
			return nil, nil, err
		}
	}
	none := func(context.Context) ([]string, error) { return nil, nil }
	fresh := func(ctx context.Context) ([]string, error) {
		url, err := s.database(ctx)
		return []string{"DATABASE_URL=" + url, "NODE_NO_WARNINGS=1"}, err
	}
	// One that was migrated, by each tool for itself.
	same := func(url string) func(context.Context) ([]string, error) {
		return func(context.Context) ([]string, error) { return []string{"DATABASE_URL=" + url}, nil }
	}
	sees := func(out string) error {
		if !strings.Contains(out, "refresh_tokens") && !strings.Contains(out, "4  tables") {
			return fmt.Errorf("it saw no tables:\n%s", out)
		}
		return nil
	}
	add := func(tool, dir string, check func(string) error, commandsOf map[string][]string, applied string) {
		for _, task := range tasks {
			if commandsOf[task] == nil {
				continue
			}
			c := &timed{tool: tool, task: task, dir: dir, args: commandsOf[task], env: none}
			switch task {
			case taskDiff:
				c.env, c.check = same(applied), check
			case taskApply:
				c.env = fresh
			case taskPending:
				c.env = same(applied)
			case taskInspect:
				c.env, c.check = same(applied), sees
			}
			commands = append(commands, c)
		}
	}
	files := snapshot(project)
	unchanged := func(string) error {
		if now := snapshot(project); !slices.Equal(files, now) {
			return fmt.Errorf("it planned something: %v", now)
		}
		return nil
	}

	ours, err := s.database(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, err := (&timed{dir: project, args: []string{binary, "migrate", "apply"},
		env: same(ours)}).run(ctx); err != nil {
		return nil, nil, err
	}
	add(toolOurs, project, unchanged, map[string][]string{
		taskStart: {binary, "version"}, taskDiff: {binary, "migrate", "diff", "nothing"},
		taskApply: {binary, "migrate", "apply"}, taskPending: {binary, "migrate", "apply"},
		taskInspect: {"sh", "-c", `exec "$0" inspect "$DATABASE_URL"`, binary},
	}, ours)

	if drizzle, err := peers.DrizzleFolder(ctx, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		versions = append(versions, "drizzle-kit left out: no Node")
	} else {
		versions = append(versions, peers.DrizzleVersions()...)
		versions = append(versions, "Node "+programVersion(ctx, "node", "--version"))
		kit := []string{"node", filepath.Join(drizzle, "node_modules", "drizzle-kit", "bin.cjs")}
		if err := os.RemoveAll(filepath.Join(drizzle, "migrations")); err != nil {
			return nil, nil, err
		}
		url, err := s.database(ctx)
		if err != nil {
			return nil, nil, err
		}
		for _, command := range []string{"generate", "migrate"} {
			if _, err := (&timed{dir: drizzle, args: append(slices.Clone(kit), command),
				env: same(url)}).run(ctx); err != nil {
				return nil, nil, fmt.Errorf("drizzle-kit %s: %w", command, err)
			}
		}
		says := func(out string) error {
			if !strings.Contains(out, "No schema changes") {
				return fmt.Errorf("it planned something:\n%s", out)
			}
			return nil
		}
		add(toolDrizzle, drizzle, says, map[string][]string{
			taskStart: append(slices.Clone(kit), "--version"), taskDiff: append(slices.Clone(kit), "generate"),
			taskApply: append(slices.Clone(kit), "migrate"), taskPending: append(slices.Clone(kit), "migrate"),
			taskInspect: {"sh", "-c", `exec "$0" "$1" pull --dialect=mysql --url="$DATABASE_URL" --out="$2"`,
				kit[0], kit[1], filepath.Join(work, "pulled")},
		}, url)
	}

	if atlas, err := exec.LookPath(set.atlas); err != nil {
		fmt.Fprintln(os.Stderr, "the Atlas CLI is left out:", err)
		versions = append(versions, "Atlas CLI left out: not installed")
	} else {
		if atlas, err = filepath.Abs(atlas); err != nil {
			return nil, nil, err
		}
		versions = append(versions, programVersion(ctx, atlas, "version"))
		url, err := s.database(ctx)
		if err != nil {
			return nil, nil, err
		}
		dev, err := s.database(ctx)
		if err != nil {
			return nil, nil, err
		}
		shell := func(command string) []string {
			return []string{"sh", "-c", `exec "$0" migrate ` + command, atlas}
		}
		const apply = `apply --dir file://migrate --url "$DATABASE_URL"`
		if _, err := (&timed{dir: project, args: shell(apply), env: same(url)}).run(ctx); err != nil {
			return nil, nil, fmt.Errorf("atlas migrate apply: %w", err)
		}
		add(toolAtlas, project, unchanged, map[string][]string{
			taskStart: {atlas, "version"},
			taskDiff: {atlas, "migrate", "diff", "nothing", "--dir", "file://migrate", "--to", "file://ent/schema.sql",
				"--dev-url", dev},
			taskApply: shell(apply), taskPending: shell(apply),
			taskInspect: {"sh", "-c", `exec "$0" schema inspect --format '{{ sql . }}' --url "$DATABASE_URL"`, atlas},
		}, url)
	}
	return commands, versions, nil
}

// copySQL copies the migrations or the desired state, and nothing else, of a folder.
func copySQL(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, pattern := range []string{"*.sql", "atlas.sum"} {
		files, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), text, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// snapshot are the names of the files below a folder.
func snapshot(folder string) []string {
	names, _ := filepath.Glob(filepath.Join(folder, "*", "*"))
	return names
}

// generation times go generate ./ent, everything compiled already, in milliseconds.
func generation(ctx context.Context, n int) ([]float64, error) {
	var ms []float64
	for i := range n + 1 {
		began := time.Now()
		if out, err := exec.CommandContext(ctx, "go", "generate", "-C", "..", "./ent").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go generate: %w\n%s", err, out)
		}
		if i > 0 {
			ms = append(ms, float64(time.Since(began).Milliseconds()))
		}
	}
	return ms, nil
}

func migrationsReport(s *settings, commands []*timed, generate []float64) string {
	var out strings.Builder
	fmt.Fprintf(&out, "Wall time from start to end of each command, %d rounds in random order.\n\n", s.rounds)
	goals := report.Table{Head: []string{"target", "limit", "median", "quartiles", ""}}
	for _, task := range slices.Sorted(maps.Keys(migrationTargets)) {
		for _, c := range commands {
			if c.task == task && c.tool == toolOurs && len(c.versus) > 0 {
				r, limit := measure.SpreadOf(c.versus), migrationTargets[task]
				goals.Add(task+" ÷ drizzle-kit's", fmt.Sprintf("%.2f", limit), fmt.Sprintf("%.2f", r.Median),
					fmt.Sprintf("%.2f to %.2f", r.Low, r.High), met(r.Median <= limit))
			}
		}
	}
	table := report.Table{Head: []string{"ms, with quartiles", toolOurs, toolDrizzle, toolAtlas}}
	cell := func(values []float64) string {
		if len(values) == 0 {
			return "–"
		}
		v := measure.SpreadOf(values)
		return fmt.Sprintf("%.0f (%.0f to %.0f)", v.Median, v.Low, v.High)
	}
	for _, task := range tasks {
		row := []string{task}
		for _, tool := range []string{toolOurs, toolDrizzle, toolAtlas} {
			i := slices.IndexFunc(commands, func(c *timed) bool { return c.task == task && c.tool == tool })
			if i < 0 {
				row = append(row, "–")
				continue
			}
			row = append(row, cell(commands[i].ms))
		}
		table.Add(row...)
	}
	table.Add("generate the client, everything compiled", cell(generate), "–", "–")
	fmt.Fprintf(&out, "%s\n%s", goals.String(), table.String())
	return out.String()
}

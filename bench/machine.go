package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// setting describes where, when and how a section was measured.
func (s *server) setting(ctx context.Context, set *settings, versions []string) (string, error) {
	variables, err := s.variables(ctx)
	if err != nil {
		return "", err
	}
	command := "go run . " + strings.Join(set.command, " ")
	if set.url != "" {
		// It may hold a password.
		command = strings.ReplaceAll(command, set.url, "…")
	}
	if set.atlas != "" {
		// The folder of the file is of no use to a reader.
		command = strings.ReplaceAll(command, set.atlas, filepath.Base(set.atlas))
	}
	return fmt.Sprintf("Measured on %s with `%s` on %s. MySQL %s%s, the clients on the same machine over TCP; "+
		"%s. %s.\n\n",
		time.Now().UTC().Format(time.DateOnly), command, machine(), s.Version, files(set), variables,
		strings.Join(versions, ", ")), nil
}

// files says on what kind of file system a server of the program's own has its files; TMPDIR decides it.
func files(set *settings) string {
	if set.url != "" {
		return ""
	}
	at, kind := "", ""
	eachMount(func(dir, fs string) {
		if strings.HasPrefix(os.TempDir()+"/", strings.TrimSuffix(dir, "/")+"/") && len(dir) >= len(at) {
			at, kind = dir, fs
		}
	})
	if kind == "" {
		return ""
	}
	return " with its files on " + kind
}

func eachMount(fn func(dir, fs string)) {
	text, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 2 {
			fn(fields[1], fields[2])
		}
	}
}

// machine is the processor, how many there are of it, the memory and the system.
func machine() string {
	model, memory := "unknown processor", ""
	eachLine("/proc/cpuinfo", func(name, value string) {
		if name == "model name" {
			model = value
		}
	})
	eachLine("/proc/meminfo", func(name, value string) {
		var kib int
		if _, err := fmt.Sscanf(value, "%d kB", &kib); err == nil && name == "MemTotal" {
			memory = fmt.Sprintf(", %d GB of memory", kib>>20)
		}
	})
	return fmt.Sprintf("%s, %d cores%s, %s/%s", model, runtime.NumCPU(), memory, runtime.GOOS, runtime.GOARCH)
}

func eachLine(path string, fn func(name, value string)) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		fn(strings.TrimSpace(name), strings.TrimSpace(value))
	}
}

// goVersions are the versions of Go and of the named modules in this program, and this project's commit.
func goVersions(modules ...string) []string {
	versions := []string{"Go " + strings.TrimPrefix(runtime.Version(), "go")}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return versions
	}
	for _, name := range modules {
		for _, m := range info.Deps {
			if m.Path == name && m.Replace == nil {
				versions = append(versions, name+" "+m.Version)
			}
		}
	}
	return append(versions, "authgraph "+commit())
}

// commit names what is measured. It ends in -dirty if files other than the pages have changed since.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=7", "HEAD").Output()
	if err != nil {
		return "of an unknown commit"
	}
	name := strings.TrimSpace(string(out))
	if out, err = exec.Command("git", "status", "--porcelain", "--", ":(top)",
		":(top,exclude)docs").Output(); err != nil || len(out) > 0 {
		name += "-dirty"
	}
	return name
}

// programVersion is the first line that a command prints.
func programVersion(ctx context.Context, args ...string) string {
	out, _ := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if lines.Text() != "" {
			return strings.TrimSpace(lines.Text())
		}
	}
	return "unknown"
}

package testserver

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// tool is what tests call by name and find on PATH: a browser, Node.js, Python, SQLite's shell. Where PATH has none, it
// comes from the Debian archive.
type tool struct {
	wanted      [][]string        // commands that must be on PATH; of each list one is enough
	left        string            // the variable that is "1" where its tests are left out on request
	debian      string            // the Debian package
	needs       string            // as in archived
	executables []string          // those that run without LOADER
	commands    map[string]string // shell commands by the name they get; FOLDER and LOADER are what was unpacked
}

var tools = []tool{
	{
		wanted: [][]string{{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}},
		left:   "AUTHGRAPH_TEST_WITHOUT_CHROMIUM",
		debian: "chromium-headless-shell", needs: "chromium-|fonts-dejavu-core$",
		executables: []string{"usr/lib/chromium/chromium-headless-shell", "usr/lib/chromium/chrome_crashpad_handler"},
		commands: map[string]string{
			"chromium": `FONTCONFIG_FILE="FOLDER/fonts.conf" ` +
				`exec "FOLDER/usr/lib/chromium/chromium-headless-shell" "$@"`,
		},
	},
	{
		wanted: [][]string{{"node"}, {"npm"}},
		left:   "AUTHGRAPH_TEST_WITHOUT_NPM",
		debian: "npm", needs: "npm$|nodejs$|node-",
		executables: []string{"usr/bin/node"},
		commands: map[string]string{
			"node": useNode,
			"npm":  strings.Replace(useNode, `"$@"`, `"FOLDER/usr/share/nodejs/npm/bin/npm-cli.js" "$@"`, 1),
		},
	},
	{
		wanted: [][]string{{"sqlite3"}},
		debian: "sqlite3", needs: "sqlite3$",
		commands: map[string]string{"sqlite3": `exec LOADER "FOLDER/usr/bin/sqlite3" "$@"`},
	},
	{
		wanted: [][]string{{"python3"}},
		debian: "python3", needs: "python3|libpython3",
		commands: map[string]string{"python3": `PYTHONHOME="FOLDER/usr" exec LOADER "FOLDER/usr/bin/python3" "$@"`},
	},
}

// Debian's Node.js reads some of its own modules from a fixed folder when it starts. The folder's name in its library
// is replaced by one of the same length, for a folder that the command has open. What Node.js starts by
// process.execPath has not, and ends at once; tests start node by its name.
const (
	nodeModules     = "/usr/share/nodejs/"
	openNodeModules = "/proc/self/fd/9///"
	useNode         = `exec 9<"FOLDER` + nodeModules + `"
export SSL_CERT_FILE="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"
exec "FOLDER/usr/bin/node" "$@"`
)

// fontSettings name the fonts that were unpacked and no others, so that a page looks the same on every machine.
const fontSettings = `<?xml version="1.0"?>
<fontconfig>
	<dir>FOLDER/usr/share/fonts</dir>
	<cachedir>FOLDER/fonts-cache</cachedir>
</fontconfig>
`

// missingTools returns folders of commands to put on PATH, for the tools that it lacks. Each error is of one tool.
func missingTools(ctx context.Context, progress io.Writer) ([]string, error) {
	var missing []tool
	for _, t := range tools {
		if !t.onPath() && (t.left == "" || os.Getenv(t.left) != "1") {
			missing = append(missing, t)
		}
	}
	folders, failures := make([]string, len(missing)), make([]error, len(missing))
	var fetching sync.WaitGroup
	for i, t := range missing {
		fetching.Go(func() {
			folders[i], failures[i] = t.bring(ctx, sayer(t.wanted[0][0], progress))
		})
	}
	fetching.Wait()
	return folders, errors.Join(failures...)
}

func (t tool) onPath() bool {
	for _, names := range t.wanted {
		found := false
		for _, name := range names {
			_, err := exec.LookPath(name)
			found = found || err == nil
		}
		if !found {
			return false
		}
	}
	return true
}

// bring returns the folder of the tool's commands.
func (t tool) bring(ctx context.Context, say func(string, ...any)) (string, error) {
	unpacked := archived{
		name: t.debian, suite: "stable", install: []string{t.debian, "patchelf"}, needs: "patchelf$|" + t.needs,
		prepare: t.prepare, check: t.check,
	}
	folders, err := unpacked.folders(ctx, say)
	if err == nil {
		say("using %s", folders[0])
		return filepath.Join(folders[0], commandFolder), nil
	}
	advice := "install it"
	if t.left != "" {
		advice += ", or leave its tests out with " + t.left + "=1"
	}
	return "", fmt.Errorf("%s is not on PATH: %s; Debian package %s: %w", t.wanted[0][0], advice, t.debian, err)
}

const commandFolder = "commands"

func (t tool) prepare(ctx context.Context, root, folder string) error {
	command, err := loader(root)
	if err != nil {
		return err
	}
	if err := t.relocate(ctx, command, root, folder); err != nil {
		return err
	}
	quoted := `"` + strings.ReplaceAll(strings.Join(command, `" "`), root, folder) + `"`
	fill := strings.NewReplacer("FOLDER", folder, "LOADER", quoted)
	if err := os.WriteFile(filepath.Join(root, "fonts.conf"), []byte(fill.Replace(fontSettings)), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(root, commandFolder), 0o700); err != nil {
		return err
	}
	for name, script := range t.commands {
		script = "#!/bin/sh\n" + fill.Replace(script) + "\n"
		if err := os.WriteFile(filepath.Join(root, commandFolder, name), []byte(script), 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (t tool) check(ctx context.Context, folder string) error {
	for name := range t.commands {
		out, err := exec.CommandContext(ctx, filepath.Join(folder, commandFolder, name), "--version").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s --version: %w: %s", name, err, lastLines(out, 1))
		}
	}
	return nil
}

// relocate writes into the executables of root where their loader and libraries will be. Chromium and Node.js start
// themselves anew, and find their files, by the name of what runs, which is the loader's where that is on the command
// line. LD_LIBRARY_PATH would not do, as whatever they start inherits it.
func (t tool) relocate(ctx context.Context, command []string, root, folder string) error {
	patch := func(args ...string) error {
		args = append(append(command[1:len(command):len(command)], filepath.Join(root, "usr/bin/patchelf")), args...)
		if out, err := exec.CommandContext(ctx, command[0], args...).CombinedOutput(); err != nil {
			return fmt.Errorf("patchelf: %w: %s", err, lastLines(out, 1))
		}
		return nil
	}
	interpreter := filepath.Join(folder, strings.TrimPrefix(command[0], root))
	path := filepath.Dir(interpreter) + ":" + filepath.Join(filepath.Dir(interpreter), "pulseaudio")
	for _, executable := range t.executables {
		program := filepath.Join(root, executable)
		err := patch("--set-interpreter", interpreter, "--force-rpath", "--set-rpath", path, program)
		if err != nil {
			return err
		}
	}
	libraries, err := filepath.Glob(filepath.Join(filepath.Dir(command[0]), "*.so*"))
	if err != nil {
		return err
	}
	for _, library := range libraries {
		// A library with a path of its own would not look into its program's.
		if hasOwnPath(library) {
			if err := patch("--remove-rpath", library); err != nil {
				return err
			}
		}
		if strings.HasPrefix(filepath.Base(library), "libnode.so") {
			if err := replaceInFile(library, nodeModules, openNodeModules); err != nil {
				return err
			}
		}
	}
	return nil
}

func hasOwnPath(library string) bool {
	file, err := elf.Open(library)
	if err != nil {
		return false // a script of the linker
	}
	defer file.Close()
	paths, err := file.DynString(elf.DT_RUNPATH)
	return err == nil && len(paths) > 0
}

func replaceInFile(path, old, replacement string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes.ReplaceAll(text, []byte(old), []byte(replacement)), 0o600)
}

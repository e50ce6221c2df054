//go:build linux

package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

// onTerminal runs a program whose standard output and error are a terminal, and returns what it wrote there.
func onTerminal(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	shown, err := typeInto(t, cmd, "")
	require.NoError(t, err, "%s", shown)
	return shown
}

// typeInto runs a program on a terminal into which something is typed, unless
// that is empty: then its standard input is no terminal.
func typeInto(t *testing.T, cmd *exec.Cmd, typed string) (string, error) {
	t.Helper()
	screen, terminal := openTerminal(t)
	cmd.Stdout, cmd.Stderr = terminal, terminal
	if typed != "" {
		cmd.Stdin = terminal
		_, err := screen.WriteString(typed)
		require.NoError(t, err)
	}
	require.NoError(t, cmd.Start())
	require.NoError(t, terminal.Close())
	var shown bytes.Buffer
	_, _ = shown.ReadFrom(screen) // on Linux it ends with an error when the program has ended
	return shown.String(), cmd.Wait()
}

// answerOn runs a program on a terminal into which the answer is typed once the program asks.
func answerOn(t *testing.T, cmd *exec.Cmd, question string, answer func() string) (string, error) {
	t.Helper()
	screen, terminal := openTerminal(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	require.NoError(t, cmd.Start())
	require.NoError(t, terminal.Close())
	var shown bytes.Buffer
	for part := make([]byte, 1<<12); !strings.Contains(shown.String(), question); {
		n, err := screen.Read(part)
		require.NoError(t, err, "%s", &shown)
		shown.Write(part[:n])
	}
	_, err := screen.WriteString(answer())
	require.NoError(t, err)
	_, _ = shown.ReadFrom(screen) // as above
	return shown.String(), cmd.Wait()
}

// openTerminal opens both ends of a terminal.
func openTerminal(t *testing.T) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, screen.Close()) })
	require.NoError(t, unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 120}))
	return screen, terminal
}

func TestBarOnATerminal(t *testing.T) {
	t.Parallel()
	program := installed(t)
	tests := []struct {
		name    string
		env     string
		args    []string
		wantBar bool
	}{
		{"plain", "TERM=xterm", nil, true},
		{"no colour", "NO_COLOR=1", nil, true},
		{"dumb terminal", "TERM=dumb", nil, false},
		{"verbose", "TERM=xterm", []string{"--verbose"}, false},
		{"json", "TERM=xterm", []string{"--format", "json"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mysqltest.Each(t, func(t *testing.T, url string) {
				r := start(t, program, url, append([]string{"migrate", "apply"}, test.args...)...)
				r.Env = append(r.Env, "TERM=xterm", test.env)
				shown := onTerminal(t, r.Cmd)
				assert.Equal(t, test.wantBar, bytes.ContainsRune([]byte(shown), '█'), "%q", shown)
				assert.NotContains(t, shown, "\x1b", "escape code in %q", shown)
			})
		})
	}
}

// Colours are on a terminal only, and without them the text is the same.
func TestColours(t *testing.T) {
	t.Parallel()
	program := installed(t)
	url := mysqltest.SQLite(t)
	require.NoError(t, start(t, program, url, "migrate", "apply").Run())
	codes := regexp.MustCompile("\x1b\\[[0-9]*m")
	for command, want := range map[string]string{
		"policy":         "\x1b[33mwarn\x1b[0m",
		"list":           "\x1b[1mauth/user\x1b[0m",
		"migrate status": "\x1b[1mcurrent\x1b[0m",
		"doctor -q":      "\x1b[32mok\x1b[0m",
		"diff schema -":  "\x1b[33mwarning:\x1b[0m",
	} {
		show := func(env ...string) string {
			r := start(t, program, url, strings.Fields(command)...)
			r.Env = append(append(r.Env, "TERM=xterm"), env...)
			r.Stdin = strings.NewReader("CREATE TABLE t (id int);")
			shown, _ := typeInto(t, r.Cmd, "") // diff finds something
			return shown
		}
		coloured := show()
		assert.Contains(t, coloured, want, command)
		plain := codes.ReplaceAllString(coloured, "")
		for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
			assert.Equal(t, plain, show(env), "%s %s", env, command)
		}
		r := start(t, program, url, strings.Fields(command)...)
		r.Stdin = strings.NewReader("CREATE TABLE t (id int);")
		_ = r.Run()
		assert.NotContains(t, r.stdout.String()+r.stderr.String(), "\x1b", command)
		assert.Equal(t, strings.Count(strings.ReplaceAll(plain, "\r\n", "\n"), "\n"),
			strings.Count(r.stdout.String()+r.stderr.String(), "\n"), command)
	}
}

func TestDoctorShowsOnATerminalWhatItLooksAt(t *testing.T) {
	t.Parallel()
	program := installed(t)
	url := mysqltest.SQLite(t)
	require.NoError(t, start(t, program, url, "migrate", "apply").Run())
	for term, wantBar := range map[string]bool{"xterm": true, "dumb": false} {
		r := start(t, program, url, "doctor")
		r.Env = append(r.Env, "TERM="+term)
		shown := onTerminal(t, r.Cmd)
		assert.Equal(t, wantBar, strings.Contains(shown, "\rintegrity"), "%q", shown)
		assert.Contains(t, shown, "PRAGMA quick_check found nothing")
	}
}

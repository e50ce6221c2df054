package testserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// source is an entry of apt's list of archives.
type source struct {
	uri        string
	suites     []string
	components []string
	keyring    string
	enabled    bool
}

// machineArchive is where this machine gets Debian from, which may be a mirror that no other machine can reach. The
// keyring is that of entries that name none.
func machineArchive(aptFolder, osRelease, keyring string) (source, error) {
	release, err := os.ReadFile(osRelease)
	if err != nil {
		return source{}, err
	}
	codename := releaseCodename(string(release))
	var all []source
	for _, pattern := range []string{"sources.list.d/*.sources", "sources.list", "sources.list.d/*.list"} {
		files, _ := filepath.Glob(filepath.Join(aptFolder, pattern))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			if strings.HasSuffix(file, ".sources") {
				all = append(all, parseStanzas(string(text))...)
			} else {
				all = append(all, parseLines(string(text))...)
			}
		}
	}
	found, ok := debianArchive(all, codename)
	if !ok {
		return source{}, fmt.Errorf("apt's sources name no Debian archive for suite %q", codename)
	}
	if found.keyring == "" {
		found.keyring = keyring
	}
	if _, err := os.Stat(found.keyring); err != nil {
		return source{}, errors.New("the Debian archive's keyring is missing: " + err.Error())
	}
	return found, nil
}

// debianArchive picks the archive proper. Another vendor's archive may use the same suite and component, but not
// Debian's key; security updates have a suite of their own.
func debianArchive(sources []source, codename string) (source, bool) {
	suites := []string{codename, "stable", "testing", "unstable", "sid"}
	for _, s := range sources {
		usesSuite := slices.ContainsFunc(s.suites,
			func(suite string) bool { return suite != "" && slices.Contains(suites, suite) })
		debianKey := s.keyring == "" || strings.HasPrefix(filepath.Base(s.keyring), "debian-archive")
		reachable := !strings.HasPrefix(s.uri, "cdrom:")
		if s.enabled && usesSuite && debianKey && reachable && slices.Contains(s.components, "main") {
			return s, true
		}
	}
	return source{}, false
}

func releaseCodename(text string) string {
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return ""
}

// parseStanzas reads the format of *.sources files.
func parseStanzas(text string) []source {
	var sources []source
	fields := map[string]string{}
	flush := func() {
		if slices.Contains(strings.Fields(fields["types"]), "deb") {
			for _, uri := range strings.Fields(fields["uris"]) {
				sources = append(sources, source{
					uri:        uri,
					suites:     strings.Fields(fields["suites"]),
					components: strings.Fields(fields["components"]),
					keyring:    strings.TrimSpace(fields["signed-by"]),
					enabled:    !strings.EqualFold(strings.TrimSpace(fields["enabled"]), "no"),
				})
			}
		}
		fields = map[string]string{}
	}
	field := ""
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			fields[field] += " " + strings.TrimSpace(line)
		default:
			name, value, _ := strings.Cut(line, ":")
			field = strings.ToLower(name)
			fields[field] = strings.TrimSpace(value)
		}
	}
	flush()
	return sources
}

// parseLines reads the format of sources.list: deb [option=value …] uri suite component …
func parseLines(text string) []source {
	var sources []source
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb")
		if !ok || strings.TrimLeft(rest, " \t[") == rest {
			continue
		}
		options := ""
		if bracketed, ok := strings.CutPrefix(strings.TrimSpace(rest), "["); ok {
			options, rest, _ = strings.Cut(bracketed, "]")
		}
		words := strings.Fields(rest)
		if len(words) < 3 {
			continue
		}
		s := source{uri: words[0], suites: words[1:2], components: words[2:], enabled: true}
		for _, option := range strings.Fields(options) {
			if keyring, ok := strings.CutPrefix(option, "signed-by="); ok {
				s.keyring = keyring
			}
		}
		sources = append(sources, s)
	}
	return sources
}

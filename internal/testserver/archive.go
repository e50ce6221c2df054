package testserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// archived is a package of the Debian archive that runs from the user's cache folder without being installed. It is
// unpacked there by version, together with the libraries of its suite.
type archived struct {
	name, suite string
	install     []string // it, and what else to install
	needs       string   // a pattern of the packages to unpack beside the libraries
	// prepare changes what was unpacked into root for its use in folder, where it is moved to.
	prepare func(ctx context.Context, root, folder string) error
	// check reports whether it can run there.
	check func(ctx context.Context, folder string) error
}

// folders returns where versions of the package are unpacked, the last fetched one first. Where there is none, the
// archive's newest is fetched. AUTHGRAPH_TEST_REFRESH=1 asks for a newer one; those that were there remain after it.
func (a archived) folders(ctx context.Context, say func(string, ...any)) ([]string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("%w; XDG_CACHE_HOME can name a folder to use", err)
	}
	cache = filepath.Join(cache, "authgraph", "testserver", a.suite)
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, fmt.Errorf("%w; XDG_CACHE_HOME can name a folder to use", err)
	}
	unlock, err := lock(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	unpacked := a.unpacked(cache)
	if len(unpacked) > 0 && os.Getenv("AUTHGRAPH_TEST_REFRESH") != "1" {
		return unpacked, nil
	}
	if err := a.fetch(ctx, cache, say); err != nil {
		if len(unpacked) == 0 {
			return nil, err
		}
		say("no newer version: %v", err)
	}
	return a.unpacked(cache), nil
}

func (a archived) unpacked(cache string) []string {
	folders, _ := filepath.Glob(filepath.Join(cache, a.name+"_*"))
	fetched := func(folder string) time.Time {
		info, err := os.Stat(folder)
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(folders, func(a, b string) int { return fetched(b).Compare(fetched(a)) })
	return folders
}

// fetch downloads and unpacks the version that the archive has now, unless it is there already.
func (a archived) fetch(ctx context.Context, cache string, say func(string, ...any)) error {
	apt, err := newApt(ctx, filepath.Join(cache, "apt"), a.suite)
	if err != nil {
		return err
	}
	if err := apt.update(); err != nil {
		return err
	}
	simulated, err := apt.get("", append([]string{"--simulate", "install"}, a.install...)...)
	if err != nil {
		return err
	}
	packages := a.neededPackages(simulated)
	version := packages[a.name]
	if version == "" {
		return fmt.Errorf("the archive offers no %s", a.name)
	}
	// A colon would end the folder's name in the loader's list of folders.
	target := filepath.Join(cache, a.name+"_"+strings.ReplaceAll(version, ":", "-"))
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	say("fetching %s %s …", a.name, version)
	work, err := os.MkdirTemp(cache, "unpacking-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	root := filepath.Join(work, "root")
	if err := apt.unpack(packages, filepath.Join(work, "downloads"), root); err != nil {
		return err
	}
	for _, unused := range []string{"usr/share/doc", "usr/share/man", "usr/share/locale"} {
		if err := os.RemoveAll(filepath.Join(root, unused)); err != nil {
			return err
		}
	}
	if err := a.prepare(ctx, root, target); err != nil {
		return err
	}
	// Unpacking gave the folder the age of the package; what counts is when it was fetched.
	now := time.Now()
	if err := os.Chtimes(root, now, now); err != nil {
		return err
	}
	if err := os.Rename(root, target); err != nil {
		return err
	}
	// What lacks a library says so here, before it is taken for a version that can be used.
	if err := a.check(ctx, target); err != nil {
		return errors.Join(fmt.Errorf("%s %s cannot run: %w", a.name, version, err), os.RemoveAll(target))
	}
	return nil
}

// loader returns the words that run an unpacked executable through the loader that was unpacked beside it: the
// machine's C library may be older than the one it was built with.
func loader(folder string) ([]string, error) {
	for _, place := range []string{"usr/lib", "lib"} {
		loaders, _ := filepath.Glob(filepath.Join(folder, place, "*/ld*.so.*"))
		if len(loaders) > 0 {
			machine := filepath.Base(filepath.Dir(loaders[0])) // such as x86_64-linux-gnu
			libraries := filepath.Join(folder, "usr/lib", machine) + ":" + filepath.Join(folder, "lib", machine)
			return []string{loaders[0], "--library-path", libraries}, nil
		}
	}
	return nil, errors.New("no loader in usr/lib or lib")
}

// apt is an apt-get that sees nothing of the machine's packages and changes none.
type apt struct {
	ctx    context.Context
	folder string
}

func newApt(ctx context.Context, folder, suite string) (*apt, error) {
	for _, tool := range []string{"apt-get", "apt-config", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s was not found: this way needs Debian or a system made from it", tool)
		}
	}
	source, err := machineArchive("/etc/apt", "/etc/os-release", debianKeyring)
	if err != nil {
		return nil, err
	}
	for _, needed := range []string{"apt.conf.d", "preferences.d", "sources.list.d", "state/lists/partial",
		"cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(folder, needed), 0o700); err != nil {
			return nil, err
		}
	}
	settings := fmt.Sprintf(`Dir "%[1]s";
Dir::State "%[1]s/state";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc "%[1]s";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::Check-Valid-Until "false";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
%s`, folder, transportSettings(ctx))
	files := map[string]string{
		"apt.conf": settings,
		"status":   "",
		// The libraries come with the program, so its suite need not be the machine's.
		"sources.list": fmt.Sprintf("deb [signed-by=%s] %s %s main\n", source.keyring, source.uri, suite),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return &apt{ctx: ctx, folder: folder}, nil
}

// transportSettings are the machine's own ones on how to reach an archive, such as a proxy.
func transportSettings(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return ""
	}
	var kept strings.Builder
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Acquire::http") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// update reads the archive's index, which the servers of one run share.
func (a *apt) update() error {
	stamp := filepath.Join(a.folder, "updated")
	if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < 10*time.Minute {
		return nil
	}
	if _, err := a.get("", "update", "--error-on=any"); err != nil {
		return err
	}
	return os.WriteFile(stamp, nil, 0o600)
}

func (a *apt) get(folder string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(a.ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet"}, args...)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(a.folder, "apt.conf"), "LC_ALL=C")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("apt-get %s: %w: %s", strings.Join(args[:1], " "), err, lastLines(exit.Stderr, 3))
	}
	return string(out), err
}

// unpack downloads packages, by name and version, and extracts them into one folder.
func (a *apt) unpack(packages map[string]string, downloads, root string) error {
	for _, folder := range []string{downloads, root} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
	}
	args := []string{"download"}
	for name, version := range packages {
		args = append(args, name+"="+version)
	}
	if _, err := a.get(downloads, args...); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(downloads, "*.deb"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if out, err := exec.CommandContext(a.ctx, "dpkg-deb", "--extract", archive, root).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg-deb %s: %w: %s", filepath.Base(archive), err, lastLines(out, 1))
		}
	}
	return nil
}

var simulatedInstall = regexp.MustCompile(`(?m)^Inst (\S+) (?:\[\S+\] )?\((\S+) `)

// neededPackages picks the program and what it needs from a simulated installation, by name and version. The rest are
// scripts, their interpreters, and compilers of shaders for graphics cards.
func (a archived) neededPackages(simulated string) map[string]string {
	wanted := regexp.MustCompile(`^(` + a.needs + `)`)
	library := regexp.MustCompile(`^(zlib|lib)`)
	unwanted := regexp.MustCompile(`^lib(perl|python|llvm|z3-|.*-dev$)`)
	needed := map[string]string{}
	for _, found := range simulatedInstall.FindAllStringSubmatch(simulated, -1) {
		name, version := found[1], found[2]
		if wanted.MatchString(name) || library.MatchString(name) && !unwanted.MatchString(name) {
			needed[name] = version
		}
	}
	return needed
}

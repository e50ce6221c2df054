package install

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// features are the parts of Ent that package auth needs, by the name the Ent command takes and by the constant.
var features = []struct{ flag, constant string }{
	{"sql/execquery", "FeatureExecQuery"},
	{"sql/lock", "FeatureLock"},
	{"sql/modifier", "FeatureModifier"},
	{"sql/upsert", "FeatureUpsert"},
}

// needFeatures adds the features that package auth needs to the line of the project that runs the generator. The line
// loses nothing by it and is shown with the plan, so that no force is needed. What a program generates is refused.
func (p *Plan) needFeatures() error {
	generate := cmp.Or(p.layout.generate, p.layout.entFile("generate.go"))
	f := File{Path: generate, Action: Update, Theirs: true}
	entc := path.Join(path.Dir(generate), "entc.go")
	var all string
	for _, name := range []string{generate, entc} {
		stored, err := p.project.read(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		all += string(stored)
		if name == generate {
			f.holds(stored)
		}
	}
	var flags, constants []string
	for _, feature := range features {
		if !strings.Contains(all, feature.flag) && !strings.Contains(all, feature.constant) {
			flags, constants = append(flags, feature.flag), append(constants, "gen."+feature.constant)
		}
	}
	if len(flags) == 0 {
		return nil
	}
	var ok bool
	if f.Text, ok = addFeatures(f.current, flags); !ok {
		return &Error{
			Path:  entc,
			found: "package auth needs features of Ent that the generator does not have",
			fix: fmt.Sprintf("put %s into the Features of gen.Config in %s, then run this again",
				strings.Join(constants, ", "), entc),
		}
	}
	if err := p.project.link(generate); err != nil {
		return err
	}
	f.Reason = "features of Ent that package auth needs"
	p.Files = append(p.Files, f)
	return nil
}

var (
	entCommand  = regexp.MustCompile(`(?m)^//go:generate .*\bent(@\S+)? generate\b`)
	featureFlag = regexp.MustCompile(`--?feature[= ](\S+)`)
)

// addFeatures adds the missing features to the line of a generate.go that runs
// the Ent command; ok is false if it has none.
func addFeatures(generate string, missing []string) (_ string, ok bool) {
	at := entCommand.FindStringIndex(generate)
	if at == nil {
		return "", false
	}
	end := at[1] + strings.IndexByte(generate[at[1]:]+"\n", '\n')
	line, list := generate[at[0]:end], strings.Join(missing, ",")
	if old := featureFlag.FindStringSubmatchIndex(line); old != nil {
		line = line[:old[3]] + "," + list + line[old[3]:]
	} else {
		cut := at[1] - at[0]
		line = line[:cut] + " --feature " + list + line[cut:]
	}
	return generate[:at[0]] + line + generate[end:], true
}

package cli

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/authgraph/authgraph/internal/dburl"
)

// address is how a database is addressed, by a URL or by the driver's DSN: a password may be in it.
var address = regexp.MustCompile(`(?s)://|:.*@`)

// isAddress reports whether an argument may be the address of a database. The name of a file or an Ent schema is none.
func isAddress(arg string) bool {
	return !strings.HasPrefix(arg, "file:") && !strings.HasPrefix(arg, entScheme) && address.MatchString(arg)
}

// withValue is the beginning of a flag with its value in one argument.
var withValue = regexp.MustCompile(`^--?[\w-]+=`)

// hide removes the addresses among the arguments from an error of usage, which may repeat them.
func hide(text string, args []string) string {
	for _, arg := range args {
		arg = strings.TrimPrefix(arg, withValue.FindString(arg))
		if !isAddress(arg) {
			continue
		}
		// The error for an unknown flag repeats the end of the argument.
		_, secret, _ := strings.Cut(arg, ":")
		quoted := strconv.Quote(secret)
		text = strings.NewReplacer(quoted[1:len(quoted)-1], "…", secret, "…").Replace(text)
	}
	return text
}

// instead annotates a flag with what to give it instead of an address.
const instead = "instead"

// checkFlags refuses an address that cannot be read, whether the command needs it or not. It also refuses one in a flag
// that takes none, before an error prints it as the path of a file.
func (a *app) checkFlags(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if isURL := f.Name == "url" || f.Name == "dev-url"; isURL && f.Value.String() != "" {
			if _, unread := dburl.Parse(f.Value.String()); unread != nil {
				err, a.urlFrom = unread, strings.TrimPrefix("--"+f.Name, "--url")
			}
			return
		} else if isURL || !isAddress(f.Value.String()) {
			return
		}
		advice := append(f.Annotations[instead], "name the database with --url")[0]
		err = fmt.Errorf("--%s takes no address of a database: %s", f.Name, advice)
	})
	return err
}

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/authgraph/authgraph/internal/install"
)

// chooseDatabase sets --db if the project does not know its database yet.
func (i *installation) chooseDatabase(ctx context.Context, project *install.Project) error {
	if i.DB != "" || project.DB() != "" {
		return nil
	}
	u, _, err := i.address()
	if err != nil {
		return err
	}
	if u != nil {
		i.DB, _, _ = strings.Cut(u.String(), "://")
		if i.DB = strings.TrimSuffix(i.DB, "+unix"); i.DB == "maria" {
			i.DB = "mariadb"
		}
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New("the database is not known: use --db mysql, --db mariadb or --db sqlite")
	}
	fmt.Fprint(i.stderr, "Which database?\n  1  MySQL\n  2  MariaDB\n  3  SQLite\n")
	for {
		answer, err := i.ask(ctx, "1, 2 or 3 (default 1): ")
		if err != nil {
			return err
		}
		switch answer = strings.ToLower(answer); {
		case answer == "":
			i.DB = install.Databases[0]
		case len(answer) == 1 && "1" <= answer && answer <= "3":
			i.DB = install.Databases[answer[0]-'1']
		case slices.Contains(install.Databases, answer):
			i.DB = answer
		default:
			continue
		}
		return nil
	}
}

// ask reads one line from the terminal.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(a.stderr, question)
	type line struct {
		text string
		err  error
	}
	lines := make(chan line, 1)
	go func() {
		if a.answers == nil {
			a.answers = bufio.NewReader(os.Stdin)
		}
		text, err := a.answers.ReadString('\n')
		lines <- line{strings.TrimSpace(text), err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case l := <-lines:
		if errors.Is(l.err, io.EOF) {
			return "", errors.New("no answer was given, nothing was changed")
		}
		return l.text, l.err
	}
}

// confirm asks on a terminal whether to go on.
func (i *installation) confirm(ctx context.Context) error {
	if i.yes || i.format != formatText || !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	answer, err := i.ask(ctx, "Write this? [Y/n] ")
	if err != nil {
		return err
	}
	switch strings.ToLower(answer) {
	case "", "y", "yes":
		return nil
	}
	return errors.New("not confirmed, nothing was changed")
}

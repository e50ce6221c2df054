package planner

import (
	"context"
	"fmt"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"

	"github.com/authgraph/authgraph/internal/directory"
)

// Plan is a migration that is planned but not written.
type Plan struct {
	// File is the name it will have in the directory.
	File string `json:"file"`
	// SQL is its content.
	SQL string `json:"sql"`
	// Destructive describes each change that loses data.
	Destructive []string `json:"destructive,omitempty"`

	dir directory.Dir
}

// Write adds the file to the directory and updates the checksums.
func (p *Plan) Write() error {
	return directory.Write(p.dir, p.File, []byte(p.SQL))
}

// plan turns changes into statements.
func (d *Dev) plan(ctx context.Context, name string, changes []schema.Change) (*atlas.Plan, error) {
	plan, err := d.planChanges(ctx, name, changes, func(o *atlas.PlanOptions) {
		o.Indent = "  "
		o.Mode = atlas.PlanModeDeferred
	})
	if err != nil {
		return nil, fmt.Errorf("plan the changes: %w", err)
	}
	plan.Name = name
	return plan, nil
}

// unqualified leaves the name of the database out of statements: they run in whichever one the connection is to.
func unqualified(o *atlas.PlanOptions) { o.SchemaQualifier = new(string) }

// format is the file of a plan that holds changes.
func format(plan *atlas.Plan) (string, error) {
	files, err := atlas.DefaultFormatter.Format(plan)
	if err != nil {
		return "", fmt.Errorf("format the plan: %w", err)
	}
	return string(files[0].Bytes()), nil
}

// destructive describes the changes that lose data.
func destructive(changes []schema.Change) []string {
	var lost []string
	for _, c := range changes {
		switch c := c.(type) {
		case *schema.DropTable:
			lost = append(lost, fmt.Sprintf("drops table %q", c.T.Name))
		case *schema.ModifyTable:
			for _, sub := range c.Changes {
				if d, ok := sub.(*schema.DropColumn); ok {
					lost = append(lost, fmt.Sprintf("drops column %q of table %q", d.C.Name, c.T.Name))
				}
			}
		}
	}
	return lost
}

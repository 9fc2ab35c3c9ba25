// Step-ca is Smallstep's CA without the key stores, CAs and databases of clouds, which nothing
// here uses: that halves what is compiled. It is a module of its own, since its hundreds of
// requirements are none of ours.
package main

import (
	"fmt"
	"os"

	_ "github.com/smallstep/certificates/cas/softcas"
	"github.com/smallstep/certificates/commands"
	"github.com/urfave/cli"
	_ "go.step.sm/crypto/kms/softkms"
)

func main() {
	app := cli.NewApp()
	app.Action, app.Flags = commands.AppCommand.Action, commands.AppCommand.Flags
	if err := app.Run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

from abaw.cli import main

main()

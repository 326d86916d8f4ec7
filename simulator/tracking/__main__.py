"""`python -m simulator.tracking RUN`: the tracker process that `dyad run` starts; see `simulator.tracking.child`."""

if __name__ == "__main__":
    import sys

    from simulator.tracking.child import main

    main(sys.argv[1])

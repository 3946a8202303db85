# Rules of the step `changes`.

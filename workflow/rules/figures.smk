# Rules of the step `figures`.

mod conservation;
mod isolation;

//! Finds split debug information: files (`.dwo`) that the compiler left beside
//! its objects, or one package (`.dwp`) of them beside the program.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use gimli::{Dwarf, DwarfPackage, DwoId, UnitRef};

use super::sections::Sections;
use super::units::{Unit, Units};
use super::{Failure, Reader};
use crate::mapped_file::MappedFile;
use crate::symbolize::budget::Budget;
use crate::symbolize::find;

/// Where the split part of a module's debug information is.
pub(crate) struct Split<'p> {
    package: Option<DwarfPackage<Reader<'p>>>,
    /// Directories that files are looked for in when they are not where the
    /// compiler has put them.
    dirs: Vec<PathBuf>,
    /// The files that were looked for, found or not.
    asked: Mutex<Vec<PathBuf>>,
}

/// What was left in the program of a unit that is elsewhere.
pub(super) struct Skeleton<'a, 'd> {
    dwarf: &'a Dwarf<Reader<'d>>,
    unit: &'a Unit<'d>,
    id: DwoId,
    /// The file's path, as the compiler was told to call it.
    name: PathBuf,
}

impl<'a, 'd> Skeleton<'a, 'd> {
    /// Looks at a unit; `None` if all of it is here.
    pub(super) fn of(unit: UnitRef<'a, Reader<'d>>) -> Result<Option<Self>, Failure> {
        let Some(id) = unit.dwo_id else { return Ok(None) };
        let Some(name) = unit.dwo_name()? else { return Ok(None) };
        let name = path_of(&unit.attr_string(name)?);
        Ok(Some(Skeleton { dwarf: unit.dwarf, unit: unit.unit, id, name }))
    }

    /// Whether a unit is the other part of this one.
    fn find_full<'s>(&self, units: &Units<'s>) -> Result<Unit<'s>, Failure>
    where
        'd: 's,
    {
        for index in 0..units.headers().len() {
            let mut unit = units.unit(index)?;
            if unit.dwo_id == Some(self.id) {
                unit.copy_relocated_attributes(self.unit);
                return Ok(unit);
            }
        }
        Err(Failure::Cause(format!("{} is of another build", self.name.display())))
    }

    /// Where the file may be, best first.
    fn places(&self, dirs: &[PathBuf]) -> Vec<PathBuf> {
        let built = self.unit.comp_dir.map(|dir| path_of(&dir)).unwrap_or_default();
        let built = built.join(&self.name);
        let mut places = Vec::new();
        for dir in dirs {
            places.push(find::below(dir, &built));
            places.push(dir.join(&self.name));
            places.extend(self.name.file_name().map(|name| dir.join(name)));
        }
        // A relative path would depend on where this program happens to run.
        places.push(built);
        places.retain(|place| place.is_absolute());
        places
    }
}

fn path_of(bytes: &Reader) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes.slice()))
}

impl<'p> Split<'p> {
    /// Looks into `package`, then for files where the compiler has put them and
    /// in `dirs`.
    pub(crate) fn new(package: Option<DwarfPackage<Reader<'p>>>, dirs: Vec<PathBuf>) -> Self {
        Split { package, dirs, asked: Mutex::default() }
    }

    /// The files that were looked for, found or not, in no order.
    pub(crate) fn asked(self) -> Vec<PathBuf> {
        self.asked.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `read` with the part of a unit that is elsewhere, which may be in
    /// a file that is closed again behind that.
    ///
    /// Fails if it is not found, or what is found is of another build.
    pub(super) fn with_full<T>(
        &self,
        skeleton: &Skeleton<'_, 'p>,
        budget: &Budget,
        mut read: impl for<'s> FnMut(&Units<'s>, &Unit<'s>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(package) = &self.package
            && let Some(dwarf) = find_in(package, skeleton)?
        {
            let units = Units::new(dwarf, None)?;
            let full = skeleton.find_full(&units)?;
            return read(&units, &full);
        }
        let mut failure = None;
        for place in skeleton.places(&self.dirs) {
            let file = MappedFile::open(&place);
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(place);
            let Ok(file) = file else { continue };
            match with_file(&file, skeleton, budget, &mut read) {
                Ok(found) => return Ok(found),
                Err(cause) => drop(failure.get_or_insert(cause)),
            }
        }
        let not_found = || Failure::Cause(format!("{} was not found", skeleton.name.display()));
        Err(failure.unwrap_or_else(not_found))
    }
}

fn find_in<'s>(
    package: &DwarfPackage<Reader<'s>>,
    skeleton: &Skeleton<'_, 's>,
) -> Result<Option<Dwarf<Reader<'s>>>, Failure> {
    Ok(package.find_cu(skeleton.id, skeleton.dwarf)?)
}

fn with_file<T>(
    file: &MappedFile,
    skeleton: &Skeleton,
    budget: &Budget,
    read: &mut impl for<'s> FnMut(&Units<'s>, &Unit<'s>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let object = find::parse(file).map_err(Failure::Cause)?;
    let sections = Sections::load(&object, true, budget).map_err(Failure::Cause)?;
    let mut dwarf = sections.dwarf();
    dwarf.make_dwo(skeleton.dwarf);
    let units = Units::new(dwarf, None)?;
    let full = skeleton.find_full(&units)?;
    let found = read(&units, &full);
    budget.free(sections.unpacked());
    found
}
